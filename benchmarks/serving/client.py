"""An HTTP client that takes as little of the processor as it can: prepared bytes on kept-alive connections.

It is the benchmark's own: wrk 4.1, which Debian has, adds samples of its own making to the times that it measured,
counts the times of refusals among those of answers, and cannot send at a fixed rate.
"""

from __future__ import annotations

import re
import select
import selectors
import socket
import time
from collections.abc import Iterator

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CLOSING = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
BROKEN = 0
"""Stands for a status where the connection failed."""

Address = tuple[str, int]


class Connection:
    """One connection, with one request under way at most."""

    __slots__ = ("body", "cut_off", "due", "received", "socket", "unsent")

    def __init__(self, address: Address) -> None:
        """Open it; what goes wrong is told by the first event."""
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(address)
        self.due: float | None = None
        self.unsent = b""
        self.cut_off = False
        self.received = b""
        self.body = b""

    def flush(self) -> None:
        """Send what the system takes of the request."""
        try:
            self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            # What the server said before it closed can still be read, and if it said nothing, reading fails.
            self.unsent, self.cut_off = b"", True

    def read(self) -> int | None:
        """The status of an answer that is there as a whole; its body is kept.

        Raises:
            OSError: the connection failed or was closed.
            ValueError: it is no answer that this client understands.
        """
        data = self.socket.recv(262_144)
        if not data:
            raise ConnectionResetError("closed")
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = LENGTH.search(self.received, 0, end + 2)
        if length is None:
            raise ValueError("an answer without Content-Length")
        if len(self.received) < end + 4 + int(length[1]):
            return None
        self.body = self.received[end + 4 :]
        return int(self.received[9:12])

    def is_reusable(self) -> bool:
        """Whether the request was sent whole, and the answer does not say that the server closes after it."""
        head = len(self.received) - len(self.body)
        return not self.unsent and not self.cut_off and CLOSING.search(self.received, 0, head) is None


class Client:
    """Sends requests over as many connections as are needed at once, and tells their answers."""

    def __init__(self, address: Address, most: int) -> None:
        """Nothing is opened yet.

        Args:
            address: of the server.
            most: connections at once.
        """
        self._address, self._most = address, most
        self._selector = selectors.DefaultSelector()
        self._free: list[Connection] = []
        self._open: set[Connection] = set()
        self.under_way = 0
        self.last_body = b""
        """Of the answer that was told last."""

    def send(self, request: bytes, due: float) -> bool:
        """Send a request on a free connection, or a new one; False where there are as many as may be."""
        if not self._free and len(self._open) >= self._most:
            return False
        connection = self._free.pop() if self._free else self._opened()
        connection.due, connection.unsent, connection.received = due, request, b""
        self.under_way += 1
        connection.flush()
        if connection.unsent:
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.modify(connection.socket, both, connection)
        return True

    def answers(self, timeout: float) -> Iterator[tuple[float, float, int]]:
        """Of each answer that is there, after a wait of `timeout` seconds at most: due, ended, status or BROKEN."""
        # A selector's own waiting is rounded up to milliseconds.
        if timeout > 0:
            select.select([self._selector], [], [], timeout)
        for key, events in self._selector.select(0):
            connection = key.data
            try:
                status = self._advance(connection, events)
            except (OSError, ValueError):
                status = BROKEN
            if status is None:
                continue
            due = connection.due
            self._put_back(connection, status)
            # Where nothing was asked, the server has only closed a connection that rested.
            if due is not None:
                self.under_way -= 1
                self.last_body = connection.body
                yield due, time.monotonic(), status

    def close(self) -> None:
        """Close all connections, with what is under way on them."""
        for connection in self._open:
            connection.socket.close()
        self._selector.close()

    def _opened(self) -> Connection:
        connection = Connection(self._address)
        self._open.add(connection)
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        return connection

    def _advance(self, connection: Connection, events: int) -> int | None:
        if events & selectors.EVENT_WRITE:
            connection.flush()
            if not connection.unsent:
                self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
        return connection.read() if events & selectors.EVENT_READ else None

    def _put_back(self, connection: Connection, status: int) -> None:
        if status != BROKEN and connection.is_reusable():
            connection.due = None
            self._free.append(connection)
            return
        self._selector.unregister(connection.socket)
        connection.socket.close()
        self._open.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
