"""Accepts connections from a socket that listens."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress

ACCEPTED_AT_ONCE = 32
"""Few, so that several processes that listen on one socket share a burst of connections."""
SHORT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE_S = 0.2
"""Before the next try when the system is short of files or memory."""

ATTACH_FILTER = 26
"""Option of a socket, as Linux numbers it."""
NO_FIRST_PACKETS = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of flags
        (0x54, 0, 0, 0x12),  # keep SYN and ACK
        (0x15, 0, 1, 0x02),  # SYN alone?
        (0x06, 0, 0, 0),  # drop the packet
        (0x06, 0, 0, 0xFFFFFFFF),  # keep it
    )
)
"""A program for the kernel's packet filter: drops the packet that begins a connection, and no other."""


def turn_away(listening: socket.socket) -> None:
    """From now on no new connection begins; one that is about to come to be still does.

    Closing a port resets the connections that have come to be and are not accepted yet, with what their clients have
    sent. When nobody can begin one any more, those that are left are soon accepted, and nothing is lost by closing.
    Who is turned away tries again, a second later as a rule, and is then refused by the system. Only Linux can do this.
    """
    program = ctypes.create_string_buffer(NO_FIRST_PACKETS, len(NO_FIRST_PACKETS))
    filter_program = struct.pack("HP", len(program) // 8, ctypes.addressof(program))
    if sys.platform == "linux":
        with suppress(OSError):
            listening.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, filter_program)


class Listener:
    """Hands each new connection to a protocol of its own. Belongs to the event loop that it was made in."""

    def __init__(
        self, listening: socket.socket, protocol: Callable[[], asyncio.Protocol], *, owned: bool = True
    ) -> None:
        """Accept from now on.

        Args:
            listening: does not block.
            protocol: makes a new one.
            owned: no other process accepts from it.
        """
        self._listening = listening
        self._protocol = protocol
        self._owned = owned
        self._loop = asyncio.get_running_loop()
        self._greeting: set[asyncio.Task[None]] = set()
        self._closed = False
        self._start()

    def turn_away(self) -> None:
        """Let no new connection begin, as far as this is up to this process alone."""
        if self._owned:
            turn_away(self._listening)

    async def close(self) -> None:
        """Accept what has come so far, then nothing more: who tries is refused by the system."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._listening)
        while self._accept() == ACCEPTED_AT_ONCE:
            pass
        self._listening.close()
        await asyncio.gather(*self._greeting)

    def _start(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> int:
        """How many connections have come."""
        for count in range(ACCEPTED_AT_ONCE):
            try:
                accepted, _ = self._listening.accept()
            except OSError as error:
                if error.errno in SHORT_OF and not self._closed:
                    self._loop.remove_reader(self._listening)
                    self._loop.call_later(PAUSE_S, self._start)
                # Else another process was faster, or the client has left already.
                return count
            greeting = self._loop.create_task(self._greet(accepted))
            self._greeting.add(greeting)
            greeting.add_done_callback(self._greeting.discard)
        return ACCEPTED_AT_ONCE

    async def _greet(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        # Else an answer of several writes, or one close after another, waits 40 ms for the client's acknowledgement.
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self._loop.connect_accepted_socket(self._protocol, accepted)
