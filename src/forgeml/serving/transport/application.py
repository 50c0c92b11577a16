"""What the transport needs of the application that it carries requests to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from forgeml.serving.limits import Limits
from forgeml.serving.refusals import Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Application(Protocol):
    """An ASGI 3 application with `lifespan`, whose startup begins to load the model and whose shutdown lets it go."""

    @property
    def limits(self) -> Limits:
        """The bounds that hold for connections and requests."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the lifespan."""

    async def loaded(self) -> None:
        """Wait until the model is there, after startup.

        Raises:
            ForgeError: it cannot be loaded; the server ends with this error.
        """

    def overloaded(self, method: bytes, path: bytes) -> Refusal | None:
        """What a request is refused with before anything is spent on it, such as 503 with Retry-After; None: go on.

        Args:
            method: in capitals.
            path: as it was sent, without the query.
        """

    def drain(self) -> None:
        """Tell that no more requests are wanted: the server is about to stop."""

    def client_gone(self) -> None:
        """Count a client that left before its request was whole or its answer sent."""

    def refused(self, refusal: Refusal) -> None:
        """Count a request that was refused before the application saw it: 400, 408, 431, or 503."""

    def connections_changed(self, open: int) -> None:
        """Note how many connections are open."""
