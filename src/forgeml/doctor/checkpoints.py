"""Checkpoints in the output folder, which are there while a run is not at its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from forgeml.doctor.finding import Finding, Subject, Tell, ok, size, warning
from forgeml.events import Progress
from forgeml.folders import size_of
from forgeml.training.keeping.checkpoints import MANIFEST, NAME, REST, find_damage
from forgeml.training.lock import Seen, look


def check(subject: Subject, tell: Tell) -> Iterator[Finding]:
    """Those that are whole, those that are not, and halves."""
    folder = subject.output / "checkpoints"
    if not folder.is_dir():
        yield ok("checkpoints", "none: no run waits to go on", steps=[])
        return
    entries = sorted(folder.iterdir())
    if look(str(subject.output))[0] is Seen.HELD:
        yield ok("checkpoints", f"{size(size_of(folder))}, of the training that runs", bytes=size_of(folder))
        return
    whole: list[int] = []
    for done, entry in enumerate(entries):
        tell(Progress("checkpoints", done, len(entries)))
        if REST.fullmatch(entry.name):
            text = f"{entry.name} was being written or removed when a training was killed, {size(size_of(entry))}"
            yield warning("checkpoints", text, "nothing: the next training removes it", folder=str(entry))
        elif found := NAME.fullmatch(entry.name):
            if damage := _damage(entry, fast=subject.fast):
                fix = "nothing: the next training passes it over; look at the disk if this happens again"
                yield warning("checkpoints", f"{entry.name} is damaged: {damage}", fix, folder=str(entry))
            else:
                whole.append(int(found[1]))
    if whole:
        listed = ", ".join(f"step {step:,}" for step in sorted(whole))
        text = f"{listed}, {size(size_of(folder))}; the same command goes on from the last one, --fresh starts over"
        yield ok("checkpoints", text, steps=sorted(whole), bytes=size_of(folder))


def _damage(checkpoint: Path, *, fast: bool) -> str | None:
    """What is wrong with a checkpoint; in haste, whether it was written to its end."""
    if fast:
        return None if (checkpoint / MANIFEST).is_file() else f"{MANIFEST} is missing"
    return find_damage(checkpoint)
