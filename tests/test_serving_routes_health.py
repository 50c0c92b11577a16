"""The routes of health."""

from __future__ import annotations

from asgi import ask
from forgeml.serving.answering.current import Status
from forgeml.serving.guarding.guard import Guard, Rules
from forgeml.serving.guarding.hosts import Hosts
from forgeml.serving.guarding.keys import Keys
from forgeml.serving.limits import Limits
from forgeml.serving.routes import framework, health
from forgeml.serving.telling.tellers import Tellers


class _Current:
    def __init__(self, status: Status) -> None:
        self._status = status

    def status(self) -> Status:
        return self._status


async def test_each_state_is_told() -> None:
    """Only a model that is ready is a 200; every other state is a 503 with its name, and with the problem if any."""
    for status in (
        Status("loading", None, None),
        Status("failed", None, "no such folder"),
        Status("ready", "0123456789ab", None),
        Status("stuck", "0123456789ab", None),
        Status("draining", "0123456789ab", "half a copy"),
    ):
        routes = framework.build(health.routes(_Current(status)))  # type: ignore[arg-type]
        rules = Rules(Keys(), Hosts(frozenset(), any_address=False), Limits())
        answered = await ask(Guard(routes, rules, Tellers()), "GET", "/readyz")
        assert answered is not None
        assert answered.status == (200 if status.state == "ready" else 503)
        expected = {"status": status.state} | ({"model_version": status.version} if status.version else {})
        said = answered.json
        problem = said.pop("problem", None)
        assert said == expected
        assert bool(problem) == bool(status.problem)
        assert not status.problem or status.problem not in problem
