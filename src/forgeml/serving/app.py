"""The server as an ASGI application: made of a saved folder, for `forgeml serve` or any other ASGI server."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from forgeml.errors import ConfigError
from forgeml.serving.answering.answerer import BUSY, Answerer
from forgeml.serving.answering.current import Current
from forgeml.serving.answering.served import Opening
from forgeml.serving.guarding.bodies import Receive
from forgeml.serving.guarding.guard import Guard, Rules, Scope, Send
from forgeml.serving.guarding.hosts import Hosts
from forgeml.serving.guarding.keys import VARIABLE, Keys
from forgeml.serving.limits import Limits
from forgeml.serving.refusals import Refusal
from forgeml.serving.routes import about, framework, health, predicting
from forgeml.serving.telling import logs
from forgeml.serving.telling.tellers import Tellers

log = logging.getLogger(__name__)

WATCH_S = 2.0
"""Between two looks at the model's folder."""


LOOK_S = 0.05
"""Between two looks whether the model is loaded."""


@dataclass(frozen=True)
class Settings:
    """All that a server is started with; it can be sent to another process."""

    folder: str
    """The saved folder."""
    engine: str = "auto"
    device: str = "auto"
    keys: Keys = field(default_factory=Keys)
    hosts: Hosts = field(default_factory=lambda: Hosts(frozenset(), any_address=False))
    docs: bool = True
    """Whether `/docs` and `/openapi.json` are shown."""
    watch_s: float = WATCH_S
    """Seconds between two looks at the folder; 0 for never."""
    limits: Limits = field(default_factory=Limits)


class App:
    """ASGI 3, with lifespan: loads at the start, and ends its threads at the end."""

    def __init__(self, settings: Settings) -> None:
        """Put the parts together; nothing is loaded yet."""
        self.limits = settings.limits
        self._tellers = Tellers()
        opening = Opening(settings.folder, settings.engine, settings.device, settings.limits)
        metrics = self._tellers.metrics
        self.current = Current(opening, settings.watch_s, metrics.batch, self._tellers.model_changed)
        self._answerer = Answerer(self.current, settings.limits, metrics.waiting_texts.set)
        self._asked = predicting.routes(self._answerer, settings.limits)
        told = about.routes(self._answerer, settings.limits, metrics, with_docs=settings.docs)
        self.routes = [*self._asked, *health.routes(self.current), *told, *about.pages(self.document, settings.docs)]
        self._framework = framework.build(self.routes)
        self._document_for = lru_cache(1)(partial(framework.document, self._framework, self.routes))
        self._guard = Guard(self._framework, Rules(settings.keys, settings.hosts, settings.limits), self._tellers)
        paths = "|".join(re.sub(r"\{\w+\}", "[^/]+", route.path) for route in self._asked)
        self._asks_model = re.compile(paths.encode()).fullmatch

    def document(self) -> dict[str, Any]:
        """The OpenAPI document for the model that answers.

        Raises:
            Refusal: there is none yet.
        """
        return self._document_for(self._answerer.served().facts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or the beginning and the end of the server."""
        if scope["type"] == "http":
            await self._guard(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            # There are no WebSockets here.
            await send({"type": "websocket.close"})

    async def loaded(self) -> None:
        """Wait until the model is there, after startup.

        Raises:
            ForgeError: the folder cannot be opened.
        """
        # Not waited for in a thread: that one could not be cancelled when the server is asked to stop meanwhile.
        while self.current.is_loading:
            await asyncio.sleep(LOOK_S)
        if self.current.error is not None:
            raise self.current.error

    def overloaded(self, method: bytes, path: bytes) -> Refusal | None:
        """What a request is told right away that asks the model while no more texts are taken in."""
        if method != b"POST" or not self._asks_model(path) or self._answerer.take_in():
            return None
        return BUSY

    def drain(self) -> None:
        """Tell from now on that the server is about to end."""
        log.info("draining")
        self.current.drain()
        self._tellers.metrics.ready.set(0)

    def client_gone(self) -> None:
        """A client has gone in the middle of its request, or before its answer."""
        self._tellers.metrics.clients_gone.inc()

    def refused(self, refusal: Refusal) -> None:
        """A request was refused before it came here."""
        self._tellers.refused_early(refusal)

    def connections_changed(self, connections: int) -> None:
        """So many connections are open now."""
        self._tellers.metrics.connections.set(connections)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        if self.current.served is None:
            self.current.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._answerer.close()
        await asyncio.to_thread(self.current.close)
        await send({"type": "lifespan.shutdown.complete"})


def build(settings: Settings, form: str) -> App:
    """The server as `forgeml serve` starts it, in this process or in several workers.

    Args:
        settings: of the server.
        form: of the log.
    """
    logs.configure(form)
    return App(settings)


def create_app() -> App:
    """The server of the folder that the environment names, for `uvicorn --factory forgeml.serving.app:create_app`.

    `FORGEML_MODEL` names the folder, `FORGEML_ENGINE` the engine, `FORGEML_API_KEYS` the keys, `FORGEML_ALLOWED_HOSTS`
    the names that the server goes by besides those of loopback; several with commas between.

    Raises:
        ConfigError: no folder is named, or a key is too short.
    """
    folder = os.environ.get("FORGEML_MODEL", "")
    if not folder:
        raise ConfigError.at("FORGEML_MODEL", "is not set", "set it to the folder of a saved model, such as best_model")
    keys = Keys.read(None, os.environ.get(VARIABLE, ""))
    names = os.environ.get("FORGEML_ALLOWED_HOSTS", "").lower().split(",")
    hosts = Hosts(frozenset(name.strip() for name in names if name.strip()), any_address=bool(keys))
    return App(Settings(folder, os.environ.get("FORGEML_ENGINE", "auto"), keys=keys, hosts=hosts, docs=not keys))
