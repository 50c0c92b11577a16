"""One training a folder: a lock in the output folder that says who holds it.

The lock is one of the system (`flock`), which ends with its process however that ends. A record in the file names the
holder, for whoever comes second, and for file systems that have no such locks or do not share them among machines.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from forgeml.errors import MachineError, first_line
from forgeml.events import Event, Note
from forgeml.folders import ELSEWHERE, check_folder, locks_reach_all
from forgeml.machine import held_signals
from forgeml.training.holder import Holder, boot_id

LOCK = ".forgeml-lock"

PAUSE = 0.05
PAUSES = 40
"""A lock is tried anew so often before somebody else has it: its holder may be about to write its name, or to leave."""
MOST_TURNS = 1000
"""The file may go, and come anew, between two looks at it; more often than this it does not."""


class Seen(Enum):
    """What can be said of a holder from here."""

    FREE = "free"
    """There is none."""
    HELD = "held"
    GONE = "gone"
    """It ended without leaving, as by kill -9 or with its machine."""
    UNKNOWN = "unknown"
    """It was on another machine, whose processes cannot be seen from here."""


@contextmanager
def locked(folder: str, tell: Callable[[Event], None] = lambda event: None) -> Iterator[None]:
    """Inside `with`, this process has the output folder to itself; the folder is made if need be.

    A lock whose holder is gone is taken over. A signal to stop waits until the lock is taken or left.

    Args:
        folder: `output_dir` as it is set.
        tell: is told of a lock that was taken over.

    Raises:
        MachineError: another training has the folder, or it cannot be written.
    """
    place = _place(folder)
    taken: _Taken | None = None
    made: list[Path] = []
    try:
        with held_signals():
            check_folder(place.parent)
            taken = _take(place, made, tell)
        yield
    finally:
        with held_signals():
            if taken:
                taken.leave()
            for empty in made:
                with suppress(OSError):
                    empty.rmdir()


def refuse_if_held(folder: str) -> None:
    """Say at once that another training has the folder; nothing is taken, and only `locked` can be relied on.

    Raises:
        MachineError: it has.
    """
    seen, holder = Seen.FREE, None
    with suppress(OSError):
        seen, holder = look(folder)
    if seen in (Seen.HELD, Seen.UNKNOWN):
        raise _refusal(_place(folder), seen, holder)


def look(folder: str) -> tuple[Seen, Holder | None]:
    """Whether a folder is taken, and by whom as far as that is known.

    Raises:
        OSError: the lock is there and cannot be read.
    """
    place = _place(folder)
    try:
        handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return Seen.FREE, None
    try:
        # Shared, and for this moment only: who takes the lock meanwhile tries again.
        tried, holder = _try(handle, fcntl.LOCK_SH), _read(handle)
    finally:
        os.close(handle)
    if tried is False:
        return Seen.HELD, holder
    if holder is None:
        return Seen.FREE if tried else Seen.UNKNOWN, None
    return _seen(holder, place, has_lock=bool(tried)), holder


@dataclass(frozen=True)
class _Taken:
    """The lock in the hands of this process."""

    place: Path
    handle: int
    holder: Holder

    def leave(self) -> None:
        """Remove the file, unless it is somebody else's by now, and let go."""
        with suppress(OSError):
            found = Holder.from_text(self.place.read_text(encoding="utf-8"))
            if found and found.mark == self.holder.mark:
                self.place.unlink()
        os.close(self.handle)


def _take(place: Path, made: list[Path], tell: Callable[[Event], None]) -> _Taken:
    pauses = iter(range(PAUSES))
    for _ in range(MOST_TURNS):
        handle, fresh = _open(place, made)
        try:
            taken = _try_to_take(place, handle, fresh, tell)
        except BlockingIOError:
            holder = _read(handle)
            os.close(handle)
            # A holder who is gone was there before the one who is about to write its name.
            named = holder is not None and _seen(holder, place, has_lock=False) is not Seen.GONE
            if named or next(pauses, None) is None:
                raise _refusal(place, Seen.HELD, holder if named else None) from None
            time.sleep(PAUSE)
            continue
        except BaseException:
            os.close(handle)
            raise
        if taken:
            return taken
        os.close(handle)
    raise _refusal(place, Seen.HELD, None)


def _try_to_take(place: Path, handle: int, fresh: bool, tell: Callable[[Event], None]) -> _Taken | None:
    """One attempt; None where the file has gone meanwhile.

    Raises:
        BlockingIOError: somebody has it just now.
        MachineError: somebody has it, or may have it.
    """
    tried = _try(handle, fcntl.LOCK_EX)
    if tried is False:
        raise BlockingIOError
    if not _is_at(handle, place):
        return None
    mine, before = Holder.this(), _read(handle)
    if before is None:
        if not (tried or fresh):
            # Without locks of the system whoever has made the file has it, and may be about to write its name.
            raise BlockingIOError
        _write(place, handle, mine)
        return _Taken(place, handle, mine)
    seen = _seen(before, place, has_lock=bool(tried))
    if seen is not Seen.GONE:
        raise _refusal(place, seen, before)
    if tried:
        _write(place, handle, mine)
    elif not _replaced(place, before, mine):
        return None
    what = f"{place.parent.absolute()} was left locked by {before}; that has ended, so the lock is taken over"
    tell(Note("lock", what, warning=True))
    return _Taken(place, handle, mine)


def _replaced(place: Path, before: Holder, mine: Holder) -> bool:
    """Put a record in place of another one, without locks of the system; whether nobody else was faster.

    Only one process can make the file that is named by the other record. As long as it is there, nobody else replaces
    that record, and once it has been moved into place, that record is gone for good.
    """
    fresh = place.with_name(f"{LOCK}.{before.mark}")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError as error:
        raise BlockingIOError from error
    try:
        _write(fresh, handle, mine)
    finally:
        os.close(handle)
    with suppress(OSError):
        found = Holder.from_text(place.read_text(encoding="utf-8"))
        if found and found.mark == before.mark:
            fresh.replace(place)
            return True
    fresh.unlink(missing_ok=True)
    return False


def _open(place: Path, made: list[Path]) -> tuple[int, bool]:
    """The file, and whether it was made by this call; folders that had to be made are added to the list, inner first.

    Raises:
        MachineError: it can be neither made nor opened.
    """
    with _about(place):
        for _ in range(MOST_TURNS):
            absent = [folder for folder in place.parents if not folder.exists()]
            place.parent.mkdir(parents=True, exist_ok=True)
            made += [folder for folder in absent if folder not in made]
            # Whoever leaves removes the file, and perhaps the folder, so either may go between two lines here.
            with suppress(FileExistsError, FileNotFoundError):
                return os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666), True
            with suppress(FileNotFoundError):
                return os.open(place, os.O_RDWR | os.O_NOFOLLOW), False
    raise _refusal(place, Seen.HELD, None)


def _try(handle: int, kind: int) -> bool | None:
    """Whether the file is locked now; None where the file system has no locks."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def _is_at(handle: int, place: Path) -> bool:
    """Whether the open file is still the one of that name: its last holder removes it on leaving."""
    try:
        return os.path.samestat(os.fstat(handle), place.stat())
    except FileNotFoundError:
        return False


def _read(handle: int) -> Holder | None:
    return Holder.from_text(os.pread(handle, 4096, 0).decode("utf-8", errors="replace"))


def _write(place: Path, handle: int, holder: Holder) -> None:
    with _about(place):
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(asdict(holder)).encode(), 0)


@contextmanager
def _about(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"the lock of the output folder cannot be written: {first_line(error)}"
        fix = f"see to the rights and the space there, remove it if no training runs, or {ELSEWHERE}"
        raise MachineError.at(str(place), what, fix) from error


def _seen(holder: Holder, place: Path, *, has_lock: bool) -> Seen:
    """What can be said of the holder in the record.

    Args:
        holder: in the record.
        place: of the lock.
        has_lock: whether this process has the system's own lock, so that no other process of this machine has it.
    """
    boot = boot_id()
    if holder.host == platform.node():
        return Seen.HELD if holder.boot == boot and holder.lives else Seen.GONE
    # Containers on one machine differ in name; the lock is the same for all of them.
    is_here = boot != "" and holder.boot == boot
    return Seen.GONE if has_lock and (is_here or locks_reach_all(place.parent)) else Seen.UNKNOWN


def _refusal(place: Path, seen: Seen, holder: Holder | None) -> MachineError:
    folder, wait = place.parent.absolute(), f"wait for its end, or {ELSEWHERE}"
    if seen is Seen.UNKNOWN:
        who = f"a training on another machine: {holder}" if holder else "a training that has left no name"
        what = f"{folder} was taken by {who}; from here it cannot be seen whether that still runs"
        return MachineError.at("output_dir", what, f"if it does not, remove {folder / LOCK}; otherwise {wait}")
    what = f"{folder} is in use by another training"
    if holder is None:
        return MachineError.at("output_dir", what, f"{wait}; if there is none, remove {folder / LOCK}")
    stop = f"; kill {holder.pid} stops it" if holder.host == platform.node() else ""
    return MachineError.at("output_dir", f"{what}: {holder}", wait + stop)


def _place(folder: str) -> Path:
    # Path.expanduser raises for a user who does not exist; here `~nobody` is then a name like any other.
    return Path(os.path.expanduser(folder)) / LOCK
