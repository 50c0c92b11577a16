"""What was fetched from the hub: each file against the hash that it is stored under."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from forgeml.doctor.finding import Finding, Subject, Tell, ok, problem, size, warning
from forgeml.doctor.places import cache_places
from forgeml.events import Progress
from forgeml.folders import size_of
from forgeml.hub.blobs import Blob, check_cache


def check(subject: Subject, tell: Tell) -> Iterator[Finding]:
    """Models and data sets as they were fetched, and data sets made ready to read."""
    places = cache_places()
    hub, ready = places["HF_HUB_CACHE"], places["HF_DATASETS_CACHE"]
    yield from _fetched(hub, subject.fast, tell)
    if ready.is_dir():
        yield ok("hub cache", f"data sets made ready to read: {ready}, {size(size_of(ready))}", folder=str(ready))


def _fetched(hub: Path, fast: bool, tell: Tell) -> Iterator[Finding]:
    repositories = [entry for entry in _inside(hub) if re.match("(models|datasets)--", entry.name)]
    if not repositories:
        yield ok("hub cache", f"{hub}: nothing yet", folder=str(hub), repositories=[])
        return
    blobs = [blob for one in repositories for blob in _inside(one / "blobs") if blob.is_file()]
    broken = [] if fast else list(_damaged(hub, blobs, tell))
    looked = "names alone looked at" if fast else f"{len(blobs)} files, each compared with its hash"
    text = f"{hub}: {len(repositories)} models and data sets, {size(size_of(hub))}, {looked}"
    names = [blob.path.as_posix() for blob in broken]
    yield ok("hub cache", text, folder=str(hub), repositories=[one.name for one in repositories], damaged=names)
    for blob in broken:
        text = f"{blob.repository}: {blob.path} is not what was fetched, {size(blob.bytes)}"
        yield problem("hub cache", text, f"run rm {blob.path}, and it is fetched again")
    yield from _halves(blobs)
    yield from _lost(repositories)


def _damaged(hub: Path, blobs: list[Path], tell: Tell) -> Iterator[Blob]:
    """Files whose bytes are not those that their name is the hash of."""
    total, done = sum(blob.stat().st_size for blob in blobs), 0
    for blob in check_cache(hub):
        done += blob.bytes
        tell(Progress("hash files", done, total))
        if blob.sound is False:
            yield blob


def _halves(blobs: list[Path]) -> Iterator[Finding]:
    """What was still on its way."""
    halves = [blob for blob in blobs if blob.name.endswith(".incomplete")]
    if halves:
        total = sum(blob.stat().st_size for blob in halves)
        text = f"{len(halves)} files that were not fetched to their end, {size(total)}"
        yield warning("hub cache", text, f"run rm {' '.join(map(str, halves))} unless they are being fetched now")


def _lost(repositories: list[Path]) -> Iterator[Finding]:
    """Names that lead to files that are no longer there."""
    for one in repositories:
        lost = [path for path in (one / "snapshots").rglob("*") if path.is_symlink() and not path.exists()]
        if lost:
            text = f"{lost[0]} leads to a file that is gone"
            more = f", and {len(lost) - 1} more do" if len(lost) > 1 else ""
            yield warning("hub cache", f"{text}{more}", f"run rm -r {one}, and it is fetched again")


def _inside(folder: Path) -> list[Path]:
    """What is in a folder; nothing where there is none."""
    return sorted(Path(entry) for entry in os.scandir(folder)) if folder.is_dir() else []
