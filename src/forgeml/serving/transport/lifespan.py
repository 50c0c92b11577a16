"""The life of an application, as ASGI has it: startup before the first request, shutdown after the last."""

from __future__ import annotations

import asyncio
from typing import Any

from forgeml.serving.transport.application import Application, Message


class Lifespan:
    """Takes one application through its life."""

    def __init__(self, application: Application) -> None:
        """Keep the application; nothing is started."""
        self.state: dict[str, Any] = {}
        """What the application keeps for its requests."""
        self._application = application
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()

    async def startup(self) -> None:
        """Start the application; what it raises, or says to have failed of, is raised here."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        life = self._application(scope, self._events.get, self._answers.put)
        self._life = asyncio.ensure_future(life)
        await self._step("lifespan.startup")

    async def shutdown(self) -> None:
        """Let the application put its things away; what it raises is raised here."""
        await self._step("lifespan.shutdown")

    async def _step(self, name: str) -> None:
        self._events.put_nowait({"type": name})
        answer = asyncio.ensure_future(self._answers.get())
        await asyncio.wait({answer, self._life}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            self._life.result()
        elif answer.result()["type"] != f"{name}.complete":
            raise RuntimeError(answer.result().get("message") or f"{name} failed")
