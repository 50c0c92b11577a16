"""One request on its way through the application, and what a connection and its requests hand each other."""

from __future__ import annotations

import asyncio
import logging
import urllib.parse
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from forgeml.serving.transport.application import Application
from forgeml.serving.transport.requests import Head

Address = tuple[str, int | None]

JOINED_BYTES = 65_536
"""Up to this size a part of a body is copied to follow its head in one piece."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response that is ready, and waits for its turn."""

    data: bytes
    closes: bool


class Outlet:
    """As much of a transport as a request may use. The head of a response goes out together with its body."""

    def __init__(self, transport: asyncio.Transport, end: Callable[[], None], is_closing: Callable[[], bool]) -> None:
        """Write to a transport.

        Args:
            transport: of the connection.
            end: closes the connection once the client has what was written.
            is_closing: whether that has begun.
        """
        self._transport = transport
        self._end = end
        self.is_closing = is_closing
        self._expecting_head = False
        self._head = b""

    def expect_head(self) -> None:
        """Keep what is written next for what comes after it."""
        self._expecting_head = True

    def write(self, data: bytes) -> None:
        """Write, or keep the head."""
        if self._expecting_head:
            self._expecting_head, self._head = False, data
            return
        if len(data) > JOINED_BYTES:
            self.flush()
        self._transport.write(self._head + data)
        self._head = b""

    def flush(self) -> None:
        """Write the head if it has been kept, for there may be no body."""
        head, self._head = self._head, b""
        self._transport.write(head)

    def close(self) -> None:
        """Write what has been kept and end."""
        self.flush()
        self._end()


class Flow(FlowControl):
    """Reading and writing that can be paused; reading can be held whatever a single request wants."""

    def __init__(self, transport: asyncio.Transport) -> None:
        """Let both run."""
        super().__init__(transport)
        self._held = False

    def hold(self) -> None:
        """Read no more until `release`."""
        self._held = True
        self.pause_reading()

    def release(self) -> None:
        """Read again."""
        self._held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        """Read again, unless reading is held."""
        if not self._held:
            super().resume_reading()


class Cycle(RequestResponseCycle):
    """A request and its response, as ASGI has them."""

    def __init__(
        self,
        scope: dict[str, Any],
        *,
        flow: Flow,
        outlet: Outlet,
        headers: list[tuple[bytes, bytes]],
        is_last: Callable[[], bool],
        answered: Callable[[], None],
    ) -> None:
        """Wait to be started.

        Args:
            scope: of ASGI.
            flow: of the connection.
            outlet: where the response goes.
            headers: that every response has.
            is_last: asked when the response begins, whether the connection ends with it.
            answered: called when the response is complete.
        """
        super().__init__(
            scope=scope,  # type: ignore[arg-type]  # a plain dict, as ASGI has it
            transport=outlet,  # type: ignore[arg-type]  # as much of it as is used
            flow=flow,
            logger=logger,
            access_logger=logger,
            access_log=False,
            default_headers=headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=True,
            on_response=answered,
        )
        self._is_last = is_last
        self._outlet = outlet

    async def send(self, message: ASGISendEvent) -> None:
        """Take a part of the response from the application."""
        if not self.response_started:
            self._outlet.expect_head()
            if self._is_last():
                self.keep_alive = False
        await super().send(message)

    def run(self, application: Application) -> Coroutine[Any, Any, None]:
        """The application's work on this request."""
        return application(self.scope, self.receive, self.send)  # type: ignore[arg-type]  # the same, named finer

    def disconnect(self) -> None:
        """Tell the application that nobody waits for its answer."""
        if not self.response_complete:
            self.disconnected = True
            self.message_event.set()


def scope_of(head: Head, server: Address | None, client: Address | None, state: dict[str, Any]) -> dict[str, Any]:
    """The scope that ASGI has for a request."""
    path = head.path.decode("ascii")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": head.version,
        "scheme": "http",
        "method": head.method.decode("ascii"),
        "path": urllib.parse.unquote(path) if "%" in path else path,
        "raw_path": head.path,
        "query_string": head.query,
        "root_path": "",
        "headers": head.headers,
        "server": server,
        "client": client,
        "state": state,
    }
