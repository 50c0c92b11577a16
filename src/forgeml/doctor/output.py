"""The output folder: whether a training may write there, who does, and what killed ones have left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from forgeml.doctor.finding import Finding, Subject, Tell, from_problem, ok, size, warning
from forgeml.errors import MachineError
from forgeml.folders import check_folder, size_of
from forgeml.model.publishing import check_place, stale
from forgeml.training.lock import LOCK, Seen, look

PLACES = ("best_model", "last_model")


def check(subject: Subject, tell: Tell) -> Iterator[Finding]:
    """Rights, the lock, and leavings."""
    folder = subject.output
    try:
        check_folder(folder)
        for name in PLACES:
            check_place(folder / name)
        there = folder.absolute() if folder.is_dir() else f"{folder.absolute()}, which is not there yet"
        yield ok("output", f"a training may write into {there}", folder=str(folder.absolute()))
    except MachineError as error:
        yield from (from_problem("output", found) for found in error.problems)
        return
    yield _lock(folder)
    yield from _leavings(folder)


def _lock(folder: Path) -> Finding:
    seen, holder = look(str(folder))
    facts = {"state": seen.value, "pid": holder.pid if holder else None, "host": holder.host if holder else None}
    who = str(holder) if holder else "a process that has left no name"
    if seen is Seen.FREE:
        return ok("lock", "no training runs there", **facts)
    if seen is Seen.HELD:
        return ok("lock", f"a training runs there: {who}", **facts)
    if seen is Seen.GONE:
        fix = "nothing: the next training takes the lock over"
        return warning("lock", f"a training that ended without leaving: {who}", fix, **facts)
    fix = f"if it does not run any more, remove {folder.absolute() / LOCK}"
    return warning("lock", f"a training on another machine, which cannot be seen from here: {who}", fix, **facts)


def _leavings(folder: Path) -> Iterator[Finding]:
    """What was being written when a process was killed, and what a move between two models has left."""
    if not folder.is_dir():
        return
    rests = [rest for name in PLACES for rest in stale(folder / name)]
    if rests:
        total = sum(map(size_of, rests))
        text = f"left by killed trainings: {', '.join(rest.name for rest in rests)}, {size(total)}"
        fix = "nothing: the next training removes them"
        yield warning("leavings", text, fix, folders=[str(rest) for rest in rests], bytes=total)
    for name in PLACES:
        for aside in sorted(folder.absolute().glob(f"{name}.aside-*")):
            if (folder / name).exists():
                yield warning("leavings", f"{aside} is an older {name}, {size(size_of(aside))}", f"remove {aside}")
            else:
                yield warning("leavings", f"{aside} is the only {name} there is", f"rename it to {name}")
