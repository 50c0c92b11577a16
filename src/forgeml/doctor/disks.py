"""Folders that are written to: whether they can be, and how much room there is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from forgeml.doctor.finding import Finding, Subject, Tell, ok, problem, size, warning
from forgeml.doctor.places import cache_places, sqlite_file
from forgeml.folders import file_system
from forgeml.machine import cache_folder

FULL, NEARLY_FULL = 200_000_000, 2_000_000_000
"""Bytes free, below which nothing of use can be written, or not much."""

FIXES = {
    "output": "set output_dir to a folder on another disk",
    "tracking": "set mlflow.tracking_uri to a file on another disk",
    "temporary": "set TMPDIR to a folder on another disk",
    "cache": "set XDG_CACHE_HOME to a folder on another disk",
}


def check(subject: Subject, tell: Tell) -> Iterator[Finding]:
    """Rights and room of each folder; several on one disk are told one by one, as each has a setting of its own."""
    if "~" in os.path.expanduser("~"):
        text = "there is no home folder here, so caches would lie in folders called ~"
        yield problem("disk", text, "set HOME to a folder that can be written")
    for name, folder in _places(subject).items():
        yield _look(name, folder)
    try:
        yield _look("temporary", Path(tempfile.gettempdir()))
    except FileNotFoundError as error:
        yield problem("disk", f"temporary: {error.strerror or error}", FIXES["temporary"])


def _places(subject: Subject) -> Mapping[str, Path]:
    places = {"output": subject.output, "cache": cache_folder(), **cache_places()}
    database = sqlite_file(subject.tracking_uri)
    return places if database is None else {**places, "tracking": database.parent}


def _look(name: str, folder: Path) -> Finding:
    holder = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    used, system = shutil.disk_usage(holder), os.statvfs(holder)
    kind = file_system(holder).kind
    text = f"{name}: {folder.absolute()}, {size(used.free)} free" + (f" on {kind}" if kind else "")
    facts = {"name": name, "folder": str(folder.absolute()), "free": used.free, "total": used.total, "kind": kind}
    fix = FIXES.get(name, f"set {name} to a folder on another disk")
    if not os.access(holder, os.W_OK | os.X_OK):
        text = f"{text}; it cannot be written"
        # What is cached can be read all the same, and what cannot be kept is worked out again.
        if name in ("output", "temporary"):
            return problem("disk", text, fix, **facts)
        return warning("disk", text, fix, **facts)
    if system.f_files and not system.f_favail:
        return problem("disk", f"{text}; no file more can be made there, whatever its size", fix, **facts)
    if used.free < FULL:
        return problem("disk", text, f"free some space, or {fix}", **facts)
    if used.free < NEARLY_FULL:
        return warning("disk", text, f"free some space, or {fix}; forgeml plan tells what a run needs", **facts)
    return ok("disk", text, **facts)
