from __future__ import annotations

import asyncio
from typing import Any

import pytest

from forgeml.errors import ModelError
from forgeml.serving.transport.lifespan import Lifespan
from small_application import SmallApplication


class Living(SmallApplication):
    """Its life goes as it is told."""

    def __init__(self, *life: str) -> None:
        """Keep the messages that it will answer with; `raise` fails instead, `return` ends."""
        super().__init__()
        self._life = life
        self.heard: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Follow the lifespan."""
        scope["state"]["ready"] = True
        for message in self._life:
            self.heard.append((await receive())["type"])
            if message == "raise":
                raise ModelError.at("best_model", "it is not there", "train it")
            if message == "return":
                return
            await send({"type": message, "message": "no such thing"})


async def live(application: Living) -> dict[str, Any]:
    """Take it through its life; its state."""
    lifespan = Lifespan(application)
    await lifespan.startup()
    await lifespan.shutdown()
    return lifespan.state


def test_a_whole_life() -> None:
    """Startup comes first, shutdown last, and what the application keeps is there for its requests."""
    application = Living("lifespan.startup.complete", "lifespan.shutdown.complete")
    assert asyncio.run(live(application)) == {"ready": True}
    assert application.heard == ["lifespan.startup", "lifespan.shutdown"]


@pytest.mark.parametrize(
    "life",
    [
        ("lifespan.startup.failed",),
        ("lifespan.startup.complete", "lifespan.shutdown.failed"),
    ],
)
def test_a_failure_is_raised(life: tuple[str, ...]) -> None:
    """An application that says it has failed is not served."""
    with pytest.raises(RuntimeError, match="no such thing"):
        asyncio.run(live(Living(*life)))


@pytest.mark.parametrize("life", [("raise",), ("lifespan.startup.complete", "raise")])
def test_what_the_application_raises_is_raised(life: tuple[str, ...]) -> None:
    """An error keeps its kind, and with it the exit code."""
    with pytest.raises(ModelError, match="it is not there"):
        asyncio.run(live(Living(*life)))


def test_an_application_may_end_its_life_early() -> None:
    """One that has nothing to do at the end may be gone by then."""
    asyncio.run(live(Living("lifespan.startup.complete", "return")))
