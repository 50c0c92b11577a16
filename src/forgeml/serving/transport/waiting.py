"""How long a connection waits for its client to read, and to close."""

from __future__ import annotations

import asyncio
from contextlib import suppress

LINGER_S = 5.0
"""Time that a client has to take in the last answer and close, before its connection is cut off."""
LINGER_BYTES = 32 * 1_048_576
"""What a client may still send meanwhile. Closing at once would reset the connection, and the answer be lost."""


class Unread:
    """Watches what has been written and is not read."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        self._size, self._since = 0, 0.0

    def seconds(self, size: int, now: float) -> float:
        """Time since the client last read anything of what waits for it; 0 when nothing does.

        Args:
            size: bytes that wait.
            now: in seconds.
        """
        if not size or not self._size or size < self._size:
            self._since = now
        self._size = size
        return now - self._since


class Lingering:
    """The end of a connection: what is written goes out, what still comes in is dropped."""

    def __init__(self, transport: asyncio.Transport, now: float) -> None:
        """Tell the client that no more will be written, once all is out: the owner's resume_writing says when."""
        self._transport = transport
        self._until = float("inf")
        self._dropped = 0
        if transport.get_write_buffer_size():
            transport.set_write_buffer_limits(high=0)
        else:
            self.half_close(now)

    def half_close(self, now: float) -> None:
        """End what is written; from here the client has its time to close."""
        self._until = now + LINGER_S
        # The client may have reset the connection meanwhile.
        with suppress(OSError):
            self._transport.write_eof()

    def drop(self, size: int) -> None:
        """Drop bytes that have come, and the connection when there is no end of them."""
        self._dropped += size
        if self._dropped > LINGER_BYTES:
            self._transport.abort()

    def check(self, now: float) -> None:
        """Cut the connection off when its time is over."""
        if now > self._until:
            self._transport.abort()
