"""The thread that talks to the store, so that the training does not wait. Nothing that MLflow raises leaves here."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from forgeml.config.opening import hide_secrets
from forgeml.training.tracking.records import Ended, Params, Record, Tags
from forgeml.training.tracking.store import OpenRun, RefusedError

MOST_WAITING = 10_000
"""Records kept in memory for a store that is away; the journal has them all."""
BATCH = 100
"""Records in one call."""
EVERY = 2.0
"""Seconds between two calls. Each takes some time of the processor from the training, however few its records."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds without an attempt after one that failed; doubled each time."""

CHANGED = "forgeml.changed."
"""Tags for settings that were changed when a run was continued, since MLflow keeps the first value of a parameter."""


@dataclass
class Task:
    """Something that the thread is to do with the run, once."""

    work: Callable[[OpenRun], object]
    later: bool = False
    """Whether nobody waits for it, so that it gives way to all else and outlasts an outage."""
    problem: str = "the store has not answered yet"
    """Why it is not done; empty once it is."""
    over: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float) -> str:
        """Wait for it for at most so long. Why it is not done, or nothing."""
        self.over.wait(seconds)
        return self.problem


class Sender:
    """Owns the run in the store. All methods are for the training's thread; none waits longer than it is told to."""

    def __init__(self, opening: Callable[[], OpenRun], opened: Callable[[str], None]) -> None:
        """Prepare the thread.

        Args:
            opening: opens the run; it is called in the thread, again and again until it succeeds.
            opened: is told the run's id, in the thread.
        """
        self.run: OpenRun | None = None
        self.problem = ""
        """Why the last attempt failed; empty after one that did not."""
        self.refused: list[str] = []
        """Why the store does not take records, a sentence for each of them."""
        self.closed: Ended | None = None
        """How the run has ended in the store."""
        self._passed_by = 0
        self._opening, self._opened = opening, opened
        self._waiting: deque[Record] = deque()
        self._tasks: deque[Task] = deque()
        self._ended: Ended | None = None
        self._changed = threading.Condition()
        self._tried, self._over = threading.Event(), threading.Event()
        self._next, self._pause, self._size = 0.0, FIRST_PAUSE, BATCH
        self._given_up = False
        self._thread = threading.Thread(target=self._work, name="forgeml-tracking", daemon=True)

    @property
    def waiting(self) -> int:
        """Records that the store has not taken."""
        return len(self._waiting) + self._passed_by

    def start(self, seconds: float) -> None:
        """Begin; wait at most so long for the run to be open or for the reason why it is not."""
        self._thread.start()
        self._tried.wait(seconds)

    def put(self, records: Sequence[Record]) -> None:
        """Let the store have records when it can take them."""
        with self._changed:
            room = max(0, MOST_WAITING - len(self._waiting))
            self._passed_by += len(records[room:])
            if not self._waiting:
                self._changed.notify()
            self._waiting.extend(records[:room])

    def is_wanted(self) -> bool:
        """Whether somebody waits for the thread, as at the end of the run."""
        with self._changed:
            return self._ended is not None or any(not task.later for task in self._tasks)

    def ask(self, work: Callable[[OpenRun], object], *, later: bool = False) -> Task:
        """Let the thread do something with the run, after all that was put before and before what it was asked earlier.

        Args:
            work: is given the run.
            later: nobody waits for it.
        """
        task = Task(work, later)
        with self._changed:
            self._tasks.appendleft(task)
            self._changed.notify()
        return task

    def finish(self, ended: Ended, seconds: float) -> bool:
        """Close the run and send what waits, for at most so long; whether the store has it all."""
        with self._changed:
            self._ended = ended
            self._changed.notify()
        # Not `join`, which takes a thread for dead when a signal cuts it short.
        self._given_up = not self._over.wait(seconds)
        return not self._given_up and self.closed == ended and not self.waiting

    def _work(self) -> None:
        while not self._given_up:
            self._wait()
            last = self._ended
            self.problem = attempt(self._turn)
            self._plan()
            if self.problem:
                self._fail_tasks()
            self._tried.set()
            if last and last == self._ended:
                break
        self._over.set()

    def _wait(self) -> None:
        with self._changed:
            while not self.is_wanted():
                left = self._next - time.monotonic()
                if left <= 0 and (self.run is None or self._waiting or self._tasks):
                    return
                self._changed.wait(left if left > 0 else None)

    def _turn(self) -> None:
        run = self.run
        if run is None:
            run = self._opening()
            self._opened(run.run_id)
            self.run = run
        # The status first, since somebody who stops a program may not wait for the rest.
        if self._ended and self.closed != self._ended:
            ended = self._ended
            run.end(ended.status, ended.time)
            self.closed = ended
        self._send(run)
        if self._tasks and not self._given_up and not (self._tasks[0].later and self._ended):
            task = self._tasks.popleft()
            task.problem = attempt(partial(task.work, run))
            task.over.set()

    def _send(self, run: OpenRun) -> None:
        # No more than there is now, so that somebody who tells without end does not keep everything else waiting.
        left = len(self._waiting)
        while left > 0 and not self._given_up and self.closed == self._ended:
            with self._changed:
                batch = list(islice(self._waiting, min(left, self._size)))
            self.refused += deliver(run, batch)
            with self._changed:
                for _ in batch:
                    self._waiting.popleft()
            left -= len(batch)

    def _plan(self) -> None:
        """When to try next, and with how much: what is too much for a slow store at once may arrive in parts."""
        if self.problem:
            self._next = time.monotonic() + self._pause
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)
            self._size = max(1, self._size // 2)
        else:
            self._next = time.monotonic() + EVERY
            self._pause, self._size = FIRST_PAUSE, BATCH

    def _fail_tasks(self) -> None:
        with self._changed:
            failed = [task for task in self._tasks if not task.later]
            self._tasks = deque(task for task in self._tasks if task.later)
        for task in failed:
            task.problem = self.problem
            task.over.set()


def deliver(run: OpenRun, records: Sequence[Record]) -> list[str]:
    """Send records; one that is refused must not block the others, so it is found and left out.

    Returns:
        Why records were refused, a sentence for each of them. A setting that the run has with another value already is
        not among them: it becomes a tag.
    """
    if not records:
        return []
    try:
        run.send(records)
    except RefusedError as error:
        singles = list(records) if len(records) > 1 else records[0].parts()
        if len(singles) > 1:
            middle = len(singles) // 2
            return deliver(run, singles[:middle]) + deliver(run, singles[middle:])
        if isinstance(records[0], Params):
            return deliver(run, [Tags({CHANGED + name: value for name, value in records[0].values.items()})])
        return [reason(error)]
    return []


def attempt(work: Callable[[], object]) -> str:
    """Do something in MLflow. Why it failed, or nothing."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 MLflow and what lies under it raise what they like
        return reason(error)
    return ""


def reason(error: Exception) -> str:
    """What an error says, in one line and without secrets."""
    first_line = (str(error).strip().splitlines() or [""])[0]
    # What follows is long, and says no more than what has failed at the root.
    what, failed, behind = first_line.partition(" failed with exception ")
    roots = re.findall(r"Caused by (\w+)", behind) or [type(error.__cause__ or error).__name__]
    return hide_secrets(f"{what} failed ({roots[-1]})" if failed else first_line) or type(error).__name__
