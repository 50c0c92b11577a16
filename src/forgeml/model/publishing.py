"""A finished folder moves to its place in one step: whoever looks sees the old one whole or the new one whole."""

from __future__ import annotations

import ctypes
import os
import shutil
import uuid
from pathlib import Path

from forgeml.errors import MachineError
from forgeml.model.folder import CONFIG
from forgeml.model.weights import INDEX, WEIGHTS

AT_FDCWD = -100
RENAME_EXCHANGE = 2


def check_place(place: Path) -> None:
    """See that a model may be saved at this place, before an hour is spent.

    Raises:
        MachineError: no right to write, or something else than a saved model stands there.
    """
    place = place.absolute()
    holder = next(parent for parent in place.parents if parent.exists())
    if not holder.is_dir():
        raise MachineError.at("output_dir", f"{holder} is a file, not a folder", "choose another output_dir")
    if not os.access(holder, os.W_OK | os.X_OK):
        raise MachineError.at("output_dir", f"no right to write in {holder}", "choose another output_dir")
    if os.path.lexists(place) and not _may_be_replaced(place):
        raise MachineError.at(
            "output_dir", f"{place} is there and is not a saved model", "move it away or choose another output_dir"
        )


def publish(prepared: Path, place: Path) -> None:
    """Move a finished folder to its place on the same disk; what stood there is removed.

    Raises:
        MachineError: the place cannot be written; what stood there still does.
    """
    try:
        _flush(prepared)
        if os.path.lexists(place):
            exchange(prepared, place)
        else:
            prepared.rename(place)
        _flush_folder(place.parent)
    except OSError as error:
        raise MachineError.at(
            str(place), f"cannot be written: {error}", "check the rights and the free space"
        ) from error
    _remove(prepared)


def beside(place: Path) -> Path:
    """A fresh name next to a place, so that a folder written there can be moved to the place in one step."""
    return place.with_name(f".{place.name}.{uuid.uuid4().hex[:12]}")


def exchange(one: Path, other: Path) -> None:
    """Swap two folders in one move where the system can (Linux `renameat2`), else in three."""
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap and swap(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return
    # The name is not built from `one`, whose owner removes all that begins like it when the move fails.
    aside = beside(other)
    other.rename(aside)
    try:
        one.rename(other)
    except OSError:
        aside.rename(other)
        raise
    aside.rename(one)


def _may_be_replaced(place: Path) -> bool:
    """Whether it is an empty folder or a saved model; one with folders inside holds more than a saved model has."""
    if not place.is_dir():
        return False
    inside = list(place.iterdir())
    names = {entry.name for entry in inside}
    saved = CONFIG in names and bool(names & {WEIGHTS, INDEX}) and not any(entry.is_dir() for entry in inside)
    return saved or not inside


def _remove(folder: Path) -> None:
    """Remove what is no longer wanted; what resists is left, since the new model is in place already."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _flush(folder: Path) -> None:
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
