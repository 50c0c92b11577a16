"""A finished folder moves to its place in one step: whoever looks sees the old one whole or the new one whole."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from forgeml.errors import MachineError, first_line
from forgeml.folders import check_folder, check_rights
from forgeml.machine import held_signals
from forgeml.model.manifest import CONFIG, MANIFEST, check_files
from forgeml.model.weights import INDEX, WEIGHTS

AT_FDCWD = -100
RENAME_EXCHANGE = 2

ENGINE_FOLDERS = ("onnx", "openvino")
"""Folders that a saved model may have, with the files of other engines than torch."""

HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
PROCESS = uuid.uuid4().hex[:8]
"""Tells this process from an earlier one of the same number, as every first process of a container has it."""


def check_place(place: Path) -> None:
    """See that a model may be saved at this place, before an hour is spent.

    Raises:
        MachineError: no right to write, or something else than a saved model stands there.
    """
    place = place.absolute()
    check_folder(place.parent)
    if place.is_dir() and not place.is_symlink():
        # The files of the old model are removed once it has given way.
        check_rights(place)
    if os.path.lexists(place) and not _may_be_replaced(place):
        raise MachineError.at(
            "output_dir", f"{place} is there and is not a saved model", "move it away or choose another output_dir"
        )


def publish(prepared: Path, place: Path, *, keep_old: bool = False) -> None:
    """Move a finished folder to its place on the same disk; what stood there is removed.

    A signal to stop waits until it is done: in between, `prepared` is the name of the old folder.

    Args:
        prepared: the finished folder.
        place: where to.
        keep_old: whether what stood there is kept beside it, under the next number: `best_model.1`.

    Raises:
        MachineError: the place cannot be written; what stood there still does.
    """
    with writing(place):
        flush(prepared)
    with held_signals():
        kept = keep_old and place.is_dir() and any(place.iterdir())
        with writing(place):
            if kept:
                _exchange_and_keep(prepared, place)
            elif os.path.lexists(place):
                exchange(prepared, place)
            else:
                prepared.rename(place)
        with suppress(OSError):
            # The move is made already, and some network disks refuse this for folders.
            _flush_folder(place.parent)
        if not kept:
            _remove(prepared)


@contextmanager
def prepared_for(place: Path) -> Iterator[Path]:
    """A fresh name beside a place: the folder that is written there inside `with` is moved to the place at the end.

    Raises:
        MachineError: the place cannot be written; what stood there still does.
    """
    place = place.absolute()
    remove_stale(place)
    prepared = beside(place)
    try:
        yield prepared
        publish(prepared, place)
    finally:
        shutil.rmtree(prepared, ignore_errors=True)


def copy_files(source: Path, target: Path, files: Mapping[str, str], names: Iterable[str]) -> None:
    """Copy files of a saved folder that are as the manifest has them.

    Args:
        source: the saved folder.
        target: the folder to copy to.
        files: SHA-256 of each file.
        names: paths inside the folders.

    Raises:
        ModelError: one is missing or has changed.
        MachineError: the target cannot be written.
    """
    chosen = list(names)
    check_files(source, files, chosen)
    for name in chosen:
        with writing(target / name):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target / name)


@contextmanager
def writing(place: Path, room: str = "") -> Iterator[None]:
    """Inside `with`, what goes wrong in writing files becomes a MachineError that names the place.

    The libraries do not raise OSError for a full disk: safetensors has an error of its own, and tokenizers raises a
    bare `Exception`.

    Args:
        place: what is written.
        room: words about how much room there is, to go with the message.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError | SafetensorError) and type(error) is not Exception:
            raise
        what = f"cannot be written: {first_line(error)}{room}"
        raise MachineError.at(str(place), what, "check the rights and the free space") from error


def beside(place: Path) -> Path:
    """A fresh name next to a place, so that a folder written there can be moved to the place in one step.

    The name says whose it is, for `remove_stale`.
    """
    return place.with_name(f".{place.name}.{HOST}.{os.getpid()}.{PROCESS}.{uuid.uuid4().hex[:8]}")


def remove_stale(place: Path) -> None:
    """Remove what killed processes of this machine have left beside a place; what the living write is left alone."""
    with suppress(OSError):
        for left in stale(place):
            shutil.rmtree(left, ignore_errors=True)


def stale(place: Path) -> list[Path]:
    """What killed processes of this machine have left beside a place.

    Raises:
        OSError: the folder cannot be looked into.
    """
    ours = re.compile(rf"\.{re.escape(place.name)}\.{HOST}\.(\d{{1,9}})\.([0-9a-f]{{8}})\.[0-9a-f]{{8}}(\..+)?")
    named = [(entry, ours.fullmatch(entry.name)) for entry in place.parent.iterdir() if not entry.is_symlink()]
    return [entry for entry, found in named if found and not _lives(int(found[1]), found[2])]


def exchange(one: Path, other: Path) -> None:
    """Swap two folders in one move where the system can (Linux `renameat2`), else in three."""
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap and swap(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return
    # Not a name of `beside`: after a kill between the moves nobody may take the only whole model there is for a rest.
    aside = other.with_name(f"{other.name}.aside-{uuid.uuid4().hex[:8]}")
    try:
        other.rename(aside)
        one.rename(other)
        aside.rename(one)
    except BaseException:
        if os.path.lexists(aside):
            if os.path.lexists(other):
                other.rename(one)
            aside.rename(other)
        raise


def _exchange_and_keep(prepared: Path, place: Path) -> None:
    """Swap the folders, and leave the old one beside the new one.

    The new one gets the number first: whatever ends the process in between, both have names that nobody cleans up.
    """
    numbered = re.compile(rf"{re.escape(place.name)}\.(\d+)")
    taken = [int(found[1]) for entry in place.parent.iterdir() if (found := numbered.fullmatch(entry.name))]
    aside = place.with_name(f"{place.name}.{max(taken, default=0) + 1}")
    prepared.rename(aside)
    try:
        exchange(aside, place)
    except BaseException:
        aside.rename(prepared)
        raise


def _may_be_replaced(place: Path) -> bool:
    """Whether it is an empty folder or a saved model; one with other folders inside holds more than that has."""
    if not place.is_dir():
        return False
    inside = list(place.iterdir())
    names = {entry.name for entry in inside}
    saved = CONFIG in names and bool(names & {WEIGHTS, INDEX})
    allowed = ENGINE_FOLDERS if MANIFEST in names else ()
    saved = saved and not any(entry.is_dir() and entry.name not in allowed for entry in inside)
    return saved or not inside


def _lives(process: int, mark: str) -> bool:
    """Whether the process of this machine that a name tells of is still there."""
    if process == os.getpid():
        return mark == PROCESS
    if os.name != "posix":
        # Elsewhere signal 0 is not a question.
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _remove(folder: Path) -> None:
    """Remove what is no longer wanted; what resists is left, since the new model is in place already."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def flush(folder: Path) -> None:
    """Have everything in a folder written to the disk itself."""
    for path in folder.rglob("*"):
        if path.is_dir():
            _flush_folder(path)
        else:
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
