"""What was worked out of the data before, on disk: a folder for each key, whole or not there at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from forgeml.machine import cache_folder

UNUSED_DAYS = 30
"""Entries that nothing has read for so long are removed."""
STILL_WRITING = ".part-"


def kept(kind: str, key: object, build: Callable[[Path], None]) -> Path | None:
    """The folder for a key, filled by `build` unless an earlier run has done that.

    Args:
        kind: name of the folder's parent, such as `tokens`.
        key: all that the content depends on, as JSON takes it.
        build: fills the empty folder that it is given.

    Returns:
        None where the cache cannot be written; then the caller does without it.
    """
    place = folder_of(kind, key)
    if not place.is_dir():
        try:
            _fill(place, build)
        except OSError:
            return None
    with suppress(OSError):
        os.utime(place)
    return place


def forget(place: Path) -> None:
    """Remove what turned out to be damaged; what cannot be removed stays."""
    shutil.rmtree(place, ignore_errors=True)


def folder_of(kind: str, key: object) -> Path:
    """Where the content for a key is, or would be."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache_folder() / kind / digest[:40]


def _fill(place: Path, build: Callable[[Path], None]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    _remove_unused(place.parent)
    fresh = Path(tempfile.mkdtemp(prefix=STILL_WRITING, dir=place.parent))
    try:
        build(fresh)
        try:
            fresh.rename(place)
        except OSError:
            # Another run may have been faster; its content is the same.
            if not place.is_dir():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _remove_unused(parent: Path) -> None:
    oldest = time.time() - UNUSED_DAYS * 24 * 3600
    for folder in parent.iterdir():
        with suppress(OSError):
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)
