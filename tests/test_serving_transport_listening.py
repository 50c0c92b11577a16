from __future__ import annotations

import asyncio
import errno
import socket
import sys
from typing import Any

import pytest

from forgeml.serving.transport import listening
from forgeml.serving.transport.addresses import bind
from forgeml.serving.transport.listening import ACCEPTED_AT_ONCE, Listener


class Greeted(asyncio.Protocol):
    """Counts connections."""

    made: list[asyncio.BaseTransport]

    def __init__(self, made: list[asyncio.BaseTransport]) -> None:
        """Keep the list to add to."""
        self.made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        self.made.append(transport)


def test_what_has_connected_is_accepted_before_the_port_is_closed() -> None:
    """Connections that wait when the listener closes are all taken, and later ones are refused."""

    async def main() -> int:
        made: list[asyncio.BaseTransport] = []
        port = bind("127.0.0.1", 0)
        address = port.getsockname()
        listener = Listener(port, lambda: Greeted(made))
        clients = [socket.create_connection(address) for _ in range(3 * ACCEPTED_AT_ONCE + 1)]
        await listener.close()
        await listener.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        for one in made:
            one.abort()  # type: ignore[attr-defined]
        for client in clients:
            client.close()
        await asyncio.sleep(0.05)
        return len(made)

    assert asyncio.run(main()) == 3 * ACCEPTED_AT_ONCE + 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can turn connections away")
def test_turned_away() -> None:
    """Who is turned away is not connected; a connection that is open goes on."""

    async def main() -> None:
        made: list[asyncio.BaseTransport] = []
        port = bind("127.0.0.1", 0)
        listener = Listener(port, lambda: Greeted(made))
        with socket.create_connection(port.getsockname()) as before:
            listener.turn_away()
            with pytest.raises(TimeoutError):
                socket.create_connection(port.getsockname(), timeout=0.2)
            await listener.close()
            made[0].write(b"abc")  # type: ignore[attr-defined]
            assert before.recv(3) == b"abc"
            made[0].abort()  # type: ignore[attr-defined]
            await asyncio.sleep(0.05)

    asyncio.run(main())


def test_a_shared_port_is_left_alone() -> None:
    """A process that shares the port does not turn clients away from the others."""

    async def main() -> None:
        port = bind("127.0.0.1", 0)
        listener = Listener(port, asyncio.Protocol, owned=False)
        listener.turn_away()
        socket.create_connection(port.getsockname(), timeout=5).close()
        await listener.close()

    asyncio.run(main())


def test_short_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """When there are no more files, accepting goes on a little later."""
    monkeypatch.setattr(listening, "PAUSE_S", 0.01)
    accept = socket.socket.accept
    short = [True, True]

    def accept_later(self: socket.socket) -> Any:
        if short:
            short.pop()
            raise OSError(errno.EMFILE, "too many open files")
        return accept(self)

    async def main() -> None:
        made: list[asyncio.BaseTransport] = []
        port = bind("127.0.0.1", 0)
        monkeypatch.setattr(socket.socket, "accept", accept_later)
        listener = Listener(port, lambda: Greeted(made))
        with socket.create_connection(port.getsockname()):
            for _ in range(500):
                if made:
                    break
                await asyncio.sleep(0.01)
            assert len(made) == 1
            made[0].abort()  # type: ignore[attr-defined]
        await listener.close()

    asyncio.run(main())
