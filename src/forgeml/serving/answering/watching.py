"""The thread that sees when the model's folder is replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LOOKS_BEFORE_AGAIN = 15
"""Looks at a folder that could not be taken before it is tried again unchanged."""

Signature = tuple[tuple[str, int, int, int], ...]
"""Of each file its name, number, size and time of change; empty while there is no folder."""


def signature(folder: Path) -> Signature:
    """What changes whenever a file of the folder is written, moved in or taken away."""
    found: list[tuple[str, int, int, int]] = []
    with suppress(OSError):
        for path in sorted(folder.rglob("*")):
            # Between the listing and the look a file may go.
            with suppress(FileNotFoundError):
                facts = path.stat()
                found.append((str(path.relative_to(folder)), facts.st_ino, facts.st_size, facts.st_mtime_ns))
    return tuple(found)


class Watch:
    """Looks at a folder now and then, and tells when it has changed and then rested for one look."""

    def __init__(self, folder: Path, every_s: float, on_change: Callable[[], bool], known: Signature) -> None:
        """Prepare; nothing is looked at before `start`.

        Args:
            folder: to be looked at.
            every_s: seconds between two looks.
            on_change: called in the watch's own thread; says whether the change could be taken. If not, it is called
                again after a while, since what was in the way may have passed.
            known: of the folder as it was when the model that answers was read.
        """
        self._folder, self._every_s, self._on_change, self._known = folder, every_s, on_change, known
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End, after the change that is being told at the moment; that is waited for so long at most."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        seen, again_in = self._known, 0
        while not self._ended.wait(self._every_s):
            now = signature(self._folder)
            rested, seen = now == seen, now
            again_in -= 1
            if rested and (now != self._known or again_in == 0):
                # Taken before the reading: a change while the model is being read is told once more.
                self._known = now
                again_in = 0 if self._on_change() else LOOKS_BEFORE_AGAIN
