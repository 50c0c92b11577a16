"""The output while it is written: beside its place under another name, with a note of how far it is.

A run that was killed leaves `OUTPUT.part` and `OUTPUT.part.json`. The note is replaced in one move, after what it
speaks of is on disk, so what it says is always there; what stands behind that is cut off.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from forgeml.errors import MachineError

FORMAT = 1
"""Of the note. To be raised whenever the same rows would give other bytes."""
SECONDS_BETWEEN_NOTES = 0.5
"""Writing to disk for certain takes a while, so it is not done for each of many quick chunks."""

Merge = Callable[[Path, Path], None]
"""Makes the file of the pieces, for a kind that cannot be written piece by piece."""


@dataclass(frozen=True)
class Reached:
    """How far a run is."""

    rows: int = 0
    memory: Mapping[str, Any] = field(default_factory=dict)
    """What has to be known to go on."""


class PartFile:
    """A file in the making. Use it as a context manager."""

    def __init__(self, target: Path, key: Mapping[str, str] | None) -> None:
        """Write to a file beside `target`.

        Args:
            target: where the finished file is to stand.
            key: by what it is called in messages, all that the bytes depend on: input, model, options. An earlier run
                of the same key is gone on with. None: the input can be read only once, so nothing can be gone on with.
        """
        self.target, self.key = target, key
        self.notes: list[str] = []
        self.part = target.with_name(f"{target.name}.part")
        self.note = target.with_name(f"{target.name}.part.json")
        self._whole = target.with_name(f"{target.name}.part.whole")
        # One value, so that no signal finds the rows without their bytes.
        self._at: tuple[Reached, int] = Reached(), 0
        self._noted, self._noted_at = 0, 0.0
        self._begun = self._done = False

    @property
    def reached(self) -> Reached:
        """How far the run is; at first, how far an earlier one was."""
        return self._at[0]

    def __enter__(self) -> Self:
        """Open it, for this run alone, and look how far an earlier run was.

        Raises:
            MachineError: it cannot be written to, or another run is writing it.
        """
        with disk_errors(self.part):
            self._file = _opened_alone(self.part)
            if not self.note.exists() and self.part.stat().st_size:
                self._file.close()
                what = "stands there and was not left by a run of this command"
                raise MachineError.at(str(self.part), what, "move it away, or name another output")
            if self.key is not None:
                self._at = self._earlier()
            elif self.note.exists():
                self.notes.append(f"{self.part.name} of an earlier run is replaced, as a pipe cannot be gone on with")
            if self._at[1]:
                self._file.truncate(self._at[1])
                self._file.seek(self._at[1])
                self._noted, self._begun = self.reached.rows, True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep what is there for a later run; remove it if there is nothing to go on with."""
        # What could not be written before cannot be written now either.
        with contextlib.suppress(OSError):
            self._whole.unlink(missing_ok=True)
            if not self._done:
                self._keep()
        with contextlib.suppress(OSError):
            self._file.close()

    def append(self, piece: bytes, reached: Reached) -> None:
        """Write some more bytes, with which the run is so far.

        Raises:
            MachineError: the disk does not take them.
        """
        with disk_errors(self.part):
            self._begin()
            self._file.write(piece)
            self._at = reached, self._at[1] + len(piece)
            if self.key is not None and time.monotonic() - self._noted_at >= SECONDS_BETWEEN_NOTES:
                self._write_note()

    def finish(self, last: bytes, merge: Merge | None) -> None:
        """Write the end, and put the whole file in its place, in one move.

        Raises:
            MachineError: the disk does not take it.
        """
        with disk_errors(self.part):
            self._begin()
            # No note speaks of the end: a run that goes on writes it again.
            self._file.write(last)
            self._flush()
            whole = self.part
            if merge is not None:
                whole = self._whole
                merge(self.part, whole)
                with whole.open("rb") as file:
                    os.fsync(file.fileno())
            whole.replace(self.target)
            self._done = True
            self._remove()

    def _keep(self) -> None:
        """Leave what a later run can go on with, and nothing else."""
        if not self._begun and self.note.exists():
            # What an earlier run has left is as it was.
            return
        if self.key is None or not self.reached.rows:
            self._remove()
        elif self.reached.rows > self._noted:
            self._write_note()

    def _begin(self) -> None:
        """Start over, once there is something to write: until then what an earlier run has left is worth more.

        The note comes first. What is in the part file then is never taken for the rows of another run, wherever this
        one is cut short.
        """
        if self._begun:
            return
        self._write_note()
        self._file.seek(0)
        self._file.truncate()
        if self.target.exists():
            os.fchmod(self._file.fileno(), self.target.stat().st_mode & 0o777)
        self._begun = True

    def _earlier(self) -> tuple[Reached, int]:
        """How far the run was that has left a part file, and the bytes that it had written by then."""
        try:
            said = json.loads(self.note.read_text(encoding="utf-8"))
            key, written = dict(said["key"]), int(said["bytes"])
            reached = Reached(int(said["rows"]), dict(said["memory"]))
        except FileNotFoundError:
            return Reached(), 0
        except (ValueError, KeyError, TypeError):
            self.notes.append(f"{self.note.name} is damaged, so the work begins anew")
            return Reached(), 0
        if said.get("format") != FORMAT or key != dict(self.key or {}):
            other = [name for name, value in (self.key or {}).items() if key.get(name) != value]
            changed = " and ".join(other) or "another version of ForgeML"
            self.notes.append(f"{self.part.name} was begun with {changed}, so the work begins anew")
            return Reached(), 0
        if self.part.stat().st_size < written:
            self.notes.append(f"{self.part.name} is shorter than it was, so the work begins anew")
            return Reached(), 0
        return reached, written

    def _write_note(self) -> None:
        self._flush()
        said = {
            "format": FORMAT,
            "key": dict(self.key or {}),
            "rows": self.reached.rows,
            "bytes": self._at[1],
            "memory": dict(self.reached.memory),
        }
        new = self.note.with_name(f"{self.note.name}.new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(said, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.note)
        self._noted, self._noted_at = self.reached.rows, time.monotonic()

    def _flush(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def _remove(self) -> None:
        for path in (self.part, self.note, self.note.with_name(f"{self.note.name}.new"), self._whole):
            path.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """What the system raises over a file that is written, as a MachineError.

    Raises:
        MachineError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fix = "make room there" if full else "check the folder and its rights"
        raise MachineError.at(str(path), what, f"{fix}, and run the same command again") from error


def _opened_alone(path: Path) -> BinaryIO:
    """The file, opened for reading and writing by nobody else.

    Raises:
        MachineError: another run has it open.
    """
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            what = "another run is writing it"
            raise MachineError.at(str(path), what, "wait for that run, or name another output") from error
        # Between opening and locking the other run may have finished, and this may be its result by now.
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
        file.close()
