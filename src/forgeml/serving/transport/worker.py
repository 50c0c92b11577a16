"""One of several processes that serve on the same socket: what it does, and what it tells its supervisor."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from forgeml.errors import ForgeError, Problem
from forgeml.machine import STOP_SIGNALS
from forgeml.serving.transport.application import Application
from forgeml.serving.transport.server import Server

ALIVE = "alive"


@dataclass(frozen=True)
class Failure:
    """A ForgeError on its way between processes."""

    kind: type[ForgeError]
    problems: tuple[Problem, ...]


@dataclass
class Worker:
    """A process as its supervisor sees it; times in seconds of the monotonic clock."""

    process: BaseProcess
    messages: Connection
    started_at: float
    heard_at: float | None = None
    """When it last said that it is alive; None until it accepts connections."""
    failure: Failure | None = None
    """Why it could not start, if it said so."""

    def hear(self, now: float) -> None:
        """Take in what it has said."""
        try:
            while self.messages.poll():
                message = self.messages.recv()
                if message == ALIVE:
                    self.heard_at = now
                else:
                    self.failure = message
        except (EOFError, OSError):
            # It has ended, which is told by its sentinel.
            return

    def ending(self) -> str:
        """How it ended, for people."""
        code = self.process.exitcode or 0
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def start(build: Callable[[], Application], listening: socket.socket, drain_delay_s: float, now: float) -> Worker:
    """Start a process that loads its model and then accepts connections.

    Args:
        build: makes the application; pickle must know it.
        listening: the socket that all workers share.
        drain_delay_s: time between SIGTERM and the end of accepting.
        now: in seconds of the monotonic clock.
    """
    messages, of_worker = multiprocessing.Pipe(duplex=False)
    arguments = (build, listening, drain_delay_s, of_worker)
    process = multiprocessing.get_context("spawn").Process(target=_work, args=arguments, name="forgeml worker")
    # It would let signals through when it is started together with the first process.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    of_worker.close()
    return Worker(process, messages, started_at=now)


def _work(
    build: Callable[[], Application], listening: socket.socket, drain_delay_s: float, supervisor: Connection
) -> None:
    _die_quietly()
    listening.setblocking(False)
    try:
        server = Server(build(), listening, drain_delay_s, shared=True)
        # A supervisor that is held up does not hold up its workers.
        os.set_blocking(supervisor.fileno(), False)
        server.run(alive=lambda: _say_alive(server, supervisor))
    except ForgeError as error:
        os.set_blocking(supervisor.fileno(), True)
        supervisor.send(Failure(type(error), error.problems))
        raise SystemExit(error.exit_code) from None


def _die_quietly() -> None:
    """Until the server takes the signals: end without a traceback. They have been blocked since the process began."""
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def _say_alive(server: Server, supervisor: Connection) -> None:
    try:
        supervisor.send(ALIVE)
    except BlockingIOError:
        return
    except OSError:
        # The supervisor is gone, and with it whoever could stop or replace this process.
        server.stop(signal.SIGTERM)
