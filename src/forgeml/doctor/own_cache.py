"""ForgeML's own cache: what was worked out before, and halves of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from forgeml.data.cache import STILL_WRITING, UNUSED_DAYS
from forgeml.doctor.finding import Finding, Subject, Tell, ok, size, warning
from forgeml.folders import size_of
from forgeml.machine import cache_folder

DAY = 24 * 3600


def check(subject: Subject, tell: Tell) -> Iterator[Finding]:
    """Sizes by kind, and what killed runs have left."""
    folder = cache_folder()
    if not folder.is_dir():
        yield ok("cache", f"{folder}, which is not there yet", folder=str(folder))
        return
    kinds = {entry.name: size_of(entry) for entry in sorted(folder.iterdir()) if entry.is_dir()}
    told = ", ".join(f"{name} {size(count)}" for name, count in kinds.items()) or "nothing"
    text = f"{folder}: {told}; what is not read for {UNUSED_DAYS} days goes"
    yield ok("cache", text, folder=str(folder), kinds=kinds)
    rests = list(_halves(folder))
    if rests:
        total = sum(map(size_of, rests))
        text = f"{len(rests)} folders that were never finished, {size(total)}"
        fix = f"remove {', '.join(map(str, rests))}"
        yield warning("cache", text, fix, folders=[str(rest) for rest in rests], bytes=total)


def _halves(folder: Path) -> Iterator[Path]:
    """Folders that somebody began to fill, and has not touched since yesterday."""
    for rest in sorted(folder.glob(f"*/{STILL_WRITING}*")):
        if time.time() - rest.stat().st_mtime > DAY:
            yield rest
