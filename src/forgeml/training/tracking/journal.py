"""The journal of a run: a file beside its output that has each record before the store does."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from forgeml.errors import DataError, first_line
from forgeml.training.tracking.records import (
    FORMAT,
    Data,
    Ended,
    Line,
    Metrics,
    Model,
    Opened,
    Params,
    Record,
    Start,
    Tags,
    Uploaded,
    Whole,
    decode,
    encode,
)

FOLDER = "tracking"
"""Where journals lie, in the folder that the run writes to."""
ENDING = ".jsonl"
BEGINNING = b'{"line": "start", '
"""Of each journal; one that was cut short has a part of it."""


class Journal:
    """Takes lines, each whole, and keeps them though the process dies. It never raises over a disk that fails."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet; `begin` and `reopen` do that."""
        self.path = path
        self.problem = ""
        """Why a line could not be written; empty as long as all could."""
        self.locked = False
        """Whether the system sees to it that no other process writes here. Some network disks have no locks."""
        self._file: int | None = None
        self._turn = threading.Lock()

    @classmethod
    def begin(cls, folder: Path, start: Start) -> Journal:
        """A new journal in a folder that need not be there yet."""
        stamp = datetime.fromtimestamp(start.time / 1000, UTC).strftime("%Y%m%d-%H%M%S")
        journal = cls(folder / f"{stamp}-{start.key[:8]}{ENDING}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            journal._open(os.O_CREAT | os.O_EXCL)
        except OSError as error:
            # What is there under this name, if anything, is not ours to remove.
            journal.problem = first_line(error)
            return journal
        journal.append([start])
        if journal.problem:
            # Without its beginning, all that follows would be of no run.
            journal.remove()
        return journal

    @classmethod
    def reopen(cls, path: Path) -> Journal:
        """One that is there, to be read and then perhaps mended; nothing in it is changed yet.

        Raises:
            DataError: it is no journal.
            BlockingIOError: another process has it open.
            OSError: it cannot be opened.
        """
        content = path.read_bytes()[: len(BEGINNING)]
        if content != BEGINNING[: len(content)] or (len(content) < len(BEGINNING) and path.parent.name != FOLDER):
            raise _no_journal(path)
        journal = cls(path)
        journal._open(0)
        return journal

    def mend(self) -> None:
        """Take away what was cut short at its end. For those who know that no other process writes here."""
        assert self._file is not None
        os.ftruncate(self._file, self.path.read_bytes().rfind(b"\n") + 1)

    def append(self, lines: Sequence[Line]) -> None:
        """Write lines at the end. They are with the system before this returns, though perhaps not on the disk."""
        content = b"".join(map(encode, lines))
        with self._turn:
            if self._file is None:
                return
            before = os.fstat(self._file).st_size
            try:
                if os.write(self._file, content) < len(content):
                    raise OSError(f"{self.path}: no space left for a whole line")
            except OSError as error:
                self.problem = first_line(error)
                with suppress(OSError):
                    os.ftruncate(self._file, before)

    def close(self) -> None:
        """Write nothing more, and let others have it."""
        # Its number may be another file's at once, which a thread that still writes must not hit.
        with self._turn:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def remove(self) -> None:
        """Nothing in it is needed any more; nor is its folder, if it was the last one."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            self.path.parent.rmdir()
        self.close()

    def _open(self, flags: int) -> None:
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | flags, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.locked = True
        except BlockingIOError:
            self.close()
            raise
        except OSError:
            # A disk without locks; then the number of the process has to do.
            pass


@dataclass
class Told:
    """What a journal tells of its run."""

    start: Start
    """With what the process that came last says of itself and of the store."""
    run_id: str = ""
    """Empty if the run was never opened."""
    records: list[Record] = field(default_factory=list)
    taken: int = 0
    """How many of the records, the first ones, are in the store for certain."""
    model: Model | None = None
    """That is not in the store yet."""
    model_id: str = ""
    ended: Ended | None = None
    """How the run ended; None where nobody has said it."""
    whole: bool = False
    """Whether all of it is in the store for certain."""
    damaged: int = 0
    """Lines that cannot be read."""

    @property
    def last_time(self) -> int:
        """When the run was last heard of, in milliseconds since 1970."""
        return max([self.start.time, *(one.time for one in self.records if isinstance(one, Metrics))])

    def take(self, line: Line) -> None:
        """What one more line says."""
        self.whole = isinstance(line, Whole)
        match line:
            case Start():
                if line.store != self.start.store:
                    # Another store has nothing of it yet.
                    self.taken = 0
                # The run is the same, so it keeps what it is known by.
                self.start = replace(line, key=self.start.key, time=self.start.time, run_name=self.start.run_name)
                self.ended = None
            case Opened():
                self.run_id = line.run_id
            case Model():
                self.model = line
            case Uploaded():
                self.model, self.model_id = None, line.model_id
            case Ended():
                self.ended = line
            case Whole():
                self.taken = len(self.records)
            case Metrics() | Params() | Tags() | Data():
                self.records.append(line)


def read_journal(path: Path) -> Told | None:
    """What a journal tells, to its last whole line; None if that is nothing yet.

    Raises:
        DataError: it is no journal, or one of a newer ForgeML.
        OSError: it cannot be read.
    """
    # What follows the last line's end was cut short.
    texts = path.read_bytes().split(b"\n")[:-1]
    told: Told | None = None
    damaged = 0
    for text in texts:
        try:
            line = decode(text)
        except ValueError:
            damaged += 1
            continue
        if told:
            told.take(line)
        elif isinstance(line, Start):
            told = _opened(line, path)
    if told:
        told.damaged = damaged
    elif texts:
        raise _no_journal(path)
    return told


def journals_in(place: Path) -> list[Path]:
    """The journals of an output folder, of its folder of journals, or the one that is named; the oldest first."""
    if place.is_file():
        return [place]
    folder = place if place.name == FOLDER else place / FOLDER
    return sorted(path for path in folder.glob(f"*{ENDING}") if path.is_file())


def _no_journal(path: Path) -> DataError:
    fix = "name the output folder of a training, or a file in its folder tracking/"
    return DataError.at(str(path), "is no journal of a run", fix)


def _opened(start: Start, path: Path) -> Told:
    if start.format > FORMAT:
        what = f"is a journal of format {start.format}, and this ForgeML reads up to {FORMAT}"
        raise DataError.at(str(path), what, "install the ForgeML that wrote it, or a newer one")
    return Told(start)
