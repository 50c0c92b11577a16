"""The routes that machines ask whether the server lives and answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Request, Response

from forgeml.serving.answering.current import Current, Status
from forgeml.serving.guarding.exchange import Exchange
from forgeml.serving.routes.route import Handler, Route, as_json


def routes(current: Current) -> list[Route]:
    """The routes of health; each tells the same status in the way that its protocol has."""

    def by(render: Callable[[Status], Any], *, always: bool = False) -> Handler:
        async def tell(exchange: Exchange, request: Request) -> Response:
            status = current.status()
            return as_json(render(status), 200 if always or status.state == "ready" else 503)

        return tell

    alive, ready = by(lambda status: {"status": "alive"}, always=True), by(_ready)
    live, answers = (
        by(lambda status: {"live": True}, always=True),
        by(lambda status: {"ready": status.state == "ready"}),
    )
    protocol = "open inference protocol"
    return [
        Route("GET", "/healthz", alive, "health", "Whether the process lives."),
        Route("GET", "/readyz", ready, "health", "Whether requests are answered."),
        Route("GET", "/health", ready, "health", "Both at once."),
        Route(
            "GET", "/ping", by(lambda status: {}), "health", "Whether requests are answered, for MLflow and SageMaker."
        ),
        Route("GET", "/v2/health/live", live, protocol, "Whether the process lives."),
        Route("GET", "/v2/health/ready", answers, protocol, "Whether requests are answered."),
    ]


def _ready(status: Status) -> dict[str, Any]:
    # The problem itself may name folders of this machine, and nobody has to have a key to ask here.
    problem = status.problem and "the model's folder could not be opened; the log and /info say why"
    told = {"status": status.state, "model_version": status.version, "problem": problem}
    return {name: value for name, value in told.items() if value is not None}
