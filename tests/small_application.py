"""A small application for the transport, served for the length of a test."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from forgeml.serving.limits import Limits
from forgeml.serving.refusals import Refusal
from forgeml.serving.transport.addresses import bind
from forgeml.serving.transport.server import Server

BUSY = Refusal(503, "overloaded", "Too much at once.", headers={"Retry-After": "1"})


class SmallApplication:
    """Answers with what it was asked; its paths choose how.

    `/early` answers 413 before it reads, `/large` answers with 4 MB, `/slow` waits for `go_now`, `/fails` raises,
    `/busy` is refused as overloaded; on any other path the body is read and told about.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        """Count nothing yet."""
        self.limits = limits or Limits()
        self._go = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.draining = False
        self.gone = 0
        self.open = 0
        self.left: list[str] = []
        """Paths of requests whose client had left when the application asked."""
        self.refusals: list[Refusal] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request, or follow the lifespan."""
        if scope["type"] == "lifespan":
            self._loop = asyncio.get_running_loop()
            await _live(receive, send)
            return
        path = scope["path"]
        if path == "/early":
            await respond(send, 413, b"too large")
            return
        if path == "/fails":
            raise ValueError("a bug")
        if path == "/large":
            await respond(send, 200, b"x" * 4_000_000)
            return
        body = await _body(receive)
        if body is None:
            self.left.append(path)
            return
        if path == "/slow":
            waits = asyncio.ensure_future(self._go.wait())
            leaves = asyncio.ensure_future(receive())
            await asyncio.wait({waits, leaves}, return_when=asyncio.FIRST_COMPLETED)
            if leaves.done():
                self.left.append(path)
                waits.cancel()
                return
            leaves.cancel()
        told = {"method": scope["method"], "path": path, "query": scope["query_string"].decode(), "bytes": len(body)}
        await respond(send, 200, json.dumps(told).encode())

    def go_now(self) -> None:
        """Let `/slow` answer, from now on; may be called from any thread."""
        assert self._loop
        self._loop.call_soon_threadsafe(self._go.set)

    async def loaded(self) -> None:
        """There is nothing to load."""

    def overloaded(self, method: bytes, path: bytes) -> Refusal | None:
        """Refuse one path."""
        return BUSY if path == b"/busy" else None

    def drain(self) -> None:
        """Note it."""
        self.draining = True

    def client_gone(self) -> None:
        """Count it."""
        self.gone += 1

    def refused(self, refusal: Refusal) -> None:
        """Note it."""
        self.refusals.append(refusal)

    def connections_changed(self, open: int) -> None:
        """Note it."""
        self.open = open


async def _live(receive: Any, send: Any) -> None:
    for step in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{step}.complete"})


async def _body(receive: Any) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


async def respond(send: Any, status: int, body: bytes) -> None:
    """Answer a request at once."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def served(application: SmallApplication) -> Iterator[int]:
    """Serve until the block ends; the port."""
    accepting = threading.Event()
    listening = bind("127.0.0.1", 0)
    port: int = listening.getsockname()[1]
    server = Server(application, listening, drain_delay_s=0.0)
    thread = threading.Thread(target=server.run, kwargs={"alive": accepting.set})
    thread.start()
    assert accepting.wait(20)
    try:
        yield port
    finally:
        server.stop(signal.SIGINT)
        thread.join(60)
        assert not thread.is_alive()


@contextmanager
def connected(port: int, timeout_s: float = 10) -> Iterator[socket.socket]:
    """A connection to the server; it times out rather than hang the test."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        yield connection


def request(path: str = "/", method: str = "GET", headers: str = "", body: bytes = b"") -> bytes:
    """A request as bytes. With a body it has a Content-Length, unless `headers` has a framing of its own."""
    if body and "Transfer-Encoding" not in headers:
        headers += f"Content-Length: {len(body)}\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode() + body


class Responses:
    """Reads responses off a connection one after the other."""

    def __init__(self, connection: socket.socket) -> None:
        """Read nothing yet."""
        self._connection = connection
        self._read = b""

    def next(self, with_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        """Status, headers by names in small letters, and body. The status is 0 when the connection has ended."""
        while b"\r\n\r\n" not in self._read:
            if not self._more():
                return 0, {}, self._read
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        size = int(headers.get("content-length", "0")) if with_body else 0
        while len(self._read) < size and self._more():
            pass
        body, self._read = self._read[:size], self._read[size:]
        return int(line.split()[1]), headers, body

    def ended(self) -> bool:
        """Whether the server closes without a further word."""
        return not self._read and not self._more()

    def _more(self) -> bool:
        data = self._connection.recv(1 << 18)
        self._read += data
        return data != b""


def ask(port: int, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """The one response to what is sent on a connection of its own."""
    with connected(port) as connection:
        connection.sendall(data)
        return Responses(connection).next()
