"""The door to the transport: an address, a number of workers, and an application to serve."""

from __future__ import annotations

import functools
import resource
from collections.abc import Callable
from dataclasses import dataclass

from forgeml.serving.transport.addresses import bind, url
from forgeml.serving.transport.application import Application
from forgeml.serving.transport.server import Server
from forgeml.serving.transport.worker import start
from forgeml.serving.transport.workers import Supervisor, worker_environment

DRAIN_DELAY_S = 3.0


@dataclass(frozen=True)
class Settings:
    """Where to serve, and with how many processes."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 for any that is free."""
    workers: int = 1
    drain_delay_s: float = DRAIN_DELAY_S
    """Time between SIGTERM and the closing of the port, for whoever spreads the requests to look elsewhere."""


def serve(
    build: Callable[[], Application],
    settings: Settings,
    *,
    ready: Callable[[str], None],
    worker_ended: Callable[[int], None] = lambda pid: None,
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; a second signal, a second later or more, ends the process at once.

    Args:
        build: makes the application; with several workers each of them calls it, so that pickle must know it.
        settings: where and how.
        ready: called once with the address, when connections are accepted.
        worker_ended: called with the process id of each worker that has ended.

    Raises:
        MachineError: the address cannot be listened on.
        ForgeError: the model cannot be loaded.
    """
    with bind(settings.host, settings.port) as listening:
        address = url(settings.host, listening.getsockname()[1])
        _allow_open_files()
        if settings.workers == 1:
            Server(build(), listening, settings.drain_delay_s).run(alive=_Once(lambda: ready(address)))
            return
        with worker_environment(settings.workers):
            Supervisor(
                functools.partial(start, build, listening, settings.drain_delay_s),
                settings.workers,
                listening,
                settings.drain_delay_s,
                ready=lambda: ready(address),
                ended=worker_ended,
            ).run()


class _Once:
    """Does something the first time only."""

    def __init__(self, act: Callable[[], None]) -> None:
        """Keep what is to be done."""
        self._act: Callable[[], None] | None = act

    def __call__(self) -> None:
        """Do it, unless it is done."""
        act, self._act = self._act, None
        if act is not None:
            act()


def _allow_open_files() -> None:
    """Let this process have as many files open as it may, for connections are files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
