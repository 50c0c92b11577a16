"""One process that serves: the application's life, the connections, the clock, and the end."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from forgeml.serving.transport.application import Application
from forgeml.serving.transport.connections import Connections, Shared
from forgeml.serving.transport.draining import drain
from forgeml.serving.transport.gathering import Gathering
from forgeml.serving.transport.lifespan import Lifespan
from forgeml.serving.transport.listening import Listener
from forgeml.serving.transport.protocol import HttpConnection
from forgeml.serving.transport.signals import stop_signals

TICK_S = 0.5
"""How often connections look at their clocks, and the date of the responses changes."""
FILES_OF_OUR_OWN = 128
"""Of the files that a process may have open, those that are kept from connections."""


class Server:
    """Serves one application on one socket until it is stopped."""

    def __init__(
        self, application: Application, listening: socket.socket, drain_delay_s: float, *, shared: bool = False
    ) -> None:
        """Keep what is to be served.

        Args:
            application: not started yet.
            listening: does not block.
            drain_delay_s: time between SIGTERM and the closing of the port.
            shared: other processes serve on the same socket. This one then accepts only when its model is loaded, and
                leaves it to the socket's owner to turn clients away before the end.
        """
        self._application = application
        self._listening = listening
        self._drain_delay_s = drain_delay_s
        self._shared = shared
        self._gathering = Gathering()
        self._stop: asyncio.Future[float]

    def run(self, *, alive: Callable[[], None] = lambda: None) -> None:
        """Serve until a signal or `stop` asks to end.

        Args:
            alive: called when connections begin to be accepted, and time and again from then on.

        Raises:
            ForgeError: the model cannot be loaded.
        """
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(self._gathering)) as runner:
            runner.run(self._run(alive))

    def stop(self, number: int) -> None:
        """Begin to end as after a signal. May be called from any thread, also before the port is open."""
        delay_s = self._drain_delay_s if number == signal.SIGTERM else 0.0
        self._loop.call_soon_threadsafe(self._stop_after, delay_s)

    def _stop_after(self, delay_s: float) -> None:
        if not self._stop.done():
            self._stop.set_result(delay_s)

    async def _run(self, alive: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = self._loop.create_future()
        lifespan = Lifespan(self._application)
        with stop_signals(self.stop):
            await lifespan.startup()
            loading = asyncio.ensure_future(self._application.loaded())
            try:
                if self._shared:
                    await self._first_of(loading)
                if not self._stop.done():
                    await self._serve(lifespan.state, loading, alive)
            finally:
                loading.cancel()
                await lifespan.shutdown()

    async def _serve(self, state: dict[str, Any], loading: asyncio.Future[None], alive: Callable[[], None]) -> None:
        most = min(self._application.limits.connections, _files() - FILES_OF_OUR_OWN)
        connections = Connections(most, self._application.connections_changed)
        shared = Shared(self._application, connections, self._gathering.pause, state=state)
        listener = Listener(self._listening, lambda: HttpConnection(shared), owned=not self._shared)
        ticking = asyncio.ensure_future(self._tick(shared, alive))
        try:
            await self._first_of(loading)
            await drain(listener, shared, await self._stop)
        finally:
            ticking.cancel()
            await listener.close()
            connections.abort()

    async def _first_of(self, loading: asyncio.Future[None]) -> None:
        """Wait until the model is loaded or the server asked to stop; raises what the loading failed with."""
        either: set[asyncio.Future[Any]] = {loading, self._stop}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            loading.result()

    async def _tick(self, shared: Shared, alive: Callable[[], None]) -> None:
        while True:
            shared.headers[:] = [(b"date", formatdate(usegmt=True).encode())]
            shared.connections.check(self._loop.time())
            alive()
            await asyncio.sleep(TICK_S)


def _files() -> int:
    """How many files this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
