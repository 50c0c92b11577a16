"""Several processes that serve on one socket, and the supervisor that starts, watches, replaces and stops them."""

from __future__ import annotations

import logging
import multiprocessing.connection
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from forgeml.errors import MachineError
from forgeml.machine import available_cores
from forgeml.serving.transport.listening import turn_away
from forgeml.serving.transport.signals import stop_signals
from forgeml.serving.transport.worker import Worker

LOOK_S = 0.2
"""Between two looks at the workers, unless something happens."""
HUNG_S = 30.0
"""A worker that says nothing for so long is ended."""
STEADY_S = 30.0
"""A worker that has lived so long is replaced at once; one that ends sooner, after a pause."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
"""The pause doubles with each worker that ends too soon, so that one that cannot live does not take up the machine."""

logger = logging.getLogger(__name__)


@dataclass
class Slot:
    """A worker's place."""

    worker: Worker | None = None
    start_at: float = 0.0
    """When the next one is to be started, in seconds of the monotonic clock."""
    short_lives: int = 0
    """Workers in a row that ended too soon."""

    def ended(self, lived_s: float, now: float) -> float:
        """Make room for the next worker; the pause before it, in seconds."""
        self.worker = None
        self.short_lives = 0 if lived_s >= STEADY_S else self.short_lives + 1
        pause_s = min(FIRST_PAUSE_S * 2 ** (self.short_lives - 1), LONGEST_PAUSE_S) if self.short_lives else 0.0
        self.start_at = now + pause_s
        return pause_s


class Supervisor:
    """Keeps the workers running until a signal asks to stop."""

    def __init__(
        self,
        launch: Callable[[float], Worker],
        workers: int,
        listening: socket.socket,
        drain_delay_s: float,
        *,
        ready: Callable[[], None],
        ended: Callable[[int], None],
    ) -> None:
        """Start nothing yet.

        Args:
            launch: starts a worker, given the time of the monotonic clock.
            workers: how many.
            listening: what they accept from; closed here when they are asked to stop.
            drain_delay_s: time between SIGTERM and that.
            ready: called once, when the first worker accepts connections.
            ended: called with the process id of each worker that has ended.
        """
        self._launch = launch
        self._slots = [Slot() for _ in range(workers)]
        self._listening = listening
        self._drain_delay_s = drain_delay_s
        self._ready = ready
        self._ended = ended
        self._stopped_by: int | None = None
        self._serving = False
        self._looked_at = time.monotonic()

    def run(self) -> None:
        """Supervise until all workers have stopped.

        Raises:
            ForgeError: what the first workers could not start for.
        """
        with stop_signals(self._note, self._kill):
            try:
                while self._stopped_by is None:
                    self._start_due()
                    self._look(LOOK_S)
                self._stop(self._stopped_by)
            finally:
                self._kill()
                for slot in self._slots:
                    if slot.worker:
                        slot.worker.process.join()

    def _stop(self, number: int) -> None:
        self._pass_on(number)
        until = time.monotonic() + (self._drain_delay_s if number == signal.SIGTERM else 0.0)
        while (left_s := until - time.monotonic()) > 0 and self._any():
            self._look(min(left_s, LOOK_S))
        turn_away(self._listening)
        # As long as one process holds the port, the system takes connections that nobody would accept.
        self._listening.close()
        while self._any():
            self._look(LOOK_S)

    def _any(self) -> bool:
        return any(slot.worker for slot in self._slots)

    def _note(self, number: int) -> None:
        self._stopped_by = number

    def _start_due(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if slot.worker is None and now >= slot.start_at:
                slot.worker = self._launch(now)

    def _look(self, seconds: float) -> None:
        workers = [slot.worker for slot in self._slots if slot.worker]
        multiprocessing.connection.wait([worker.process.sentinel for worker in workers], seconds)
        now = time.monotonic()
        # Time in which this process was stopped is not held against the workers, which may have been stopped too.
        away_s, self._looked_at = max(0.0, now - self._looked_at - 2 * LOOK_S), now
        for slot in self._slots:
            if slot.worker:
                self._look_at(slot, slot.worker, now, away_s)

    def _look_at(self, slot: Slot, worker: Worker, now: float, away_s: float) -> None:
        worker.hear(now)
        if worker.heard_at is not None:
            worker.heard_at += away_s
            if not self._serving:
                self._serving = True
                self._ready()
            if now - worker.heard_at > HUNG_S:
                logger.warning("Worker %s hangs and is ended.", worker.process.pid)
                worker.process.kill()
        if worker.process.exitcode is not None:
            self._replace(slot, worker, now)

    def _replace(self, slot: Slot, worker: Worker, now: float) -> None:
        worker.process.join()
        worker.messages.close()
        self._ended(worker.process.pid or 0)
        pause_s = slot.ended(now - worker.started_at, now)
        if self._stopped_by is not None:
            return
        if not self._serving:
            raise _could_not_start(worker)
        logger.warning(
            "Worker %s %s; another starts %s.",
            worker.process.pid,
            worker.ending(),
            f"in {pause_s:g} s" if pause_s else "now",
        )

    def _pass_on(self, number: int) -> None:
        for slot in self._slots:
            if slot.worker and slot.worker.heard_at is not None:
                os.kill(slot.worker.process.pid or 0, number)
            elif slot.worker:
                slot.worker.process.kill()

    def _kill(self) -> None:
        for slot in self._slots:
            if slot.worker:
                slot.worker.process.kill()


@contextmanager
def worker_environment(workers: int) -> Iterator[None]:
    """Inside `with`, processes that are started share the cores, and a private folder for what they count."""
    with tempfile.TemporaryDirectory(prefix="forgeml-metrics-") as folder:
        threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, available_cores() // workers))
        with _variables(PROMETHEUS_MULTIPROC_DIR=folder, OMP_NUM_THREADS=threads):
            yield


@contextmanager
def _variables(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _could_not_start(worker: Worker) -> Exception:
    if worker.failure:
        return worker.failure.kind(worker.failure.problems)
    return MachineError.at(
        "worker",
        f"it {worker.ending()} before it was ready",
        "see what it said above; if it said nothing, memory may be short: give fewer --workers",
    )
