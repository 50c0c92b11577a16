"""Processor, memory, and how many files may be open."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

from forgeml.doctor.finding import Finding, Subject, Tell, ok, size, warning
from forgeml.machine import available_cores, describe_machine, thread_count
from forgeml.resources import processor_limit, system_memory

LITTLE_MEMORY = 1_500_000_000
"""Bytes that the libraries and a small model take."""
FEW_FILES = 256


def check(subject: Subject, tell: Tell) -> Iterator[Finding]:
    """What there is, and what of it is little."""
    facts = describe_machine()
    short = ", ".join(facts["instructions"]) or "none of those for short numbers"
    yield ok("machine", f"{facts['processor']}, {facts['cores']} cores; instructions: {short}", **facts)
    yield _threads()
    yield from _memory()
    yield from _open_files()


def _threads() -> Finding:
    threads, cores, limit = thread_count(), available_cores(), processor_limit()
    facts = {"threads": threads, "cores": cores, "limit": limit}
    usable = min(cores, max(1, round(limit))) if limit else cores
    if threads > usable:
        of_what = (
            f"this container may take the time of {limit:g} of {cores} cores" if limit else f"there are {cores} cores"
        )
        text = f"{threads} threads, while {of_what}; they wait for each other, which makes training slower"
        return warning("threads", text, f"set OMP_NUM_THREADS={usable}", **facts)
    chosen = "by OMP_NUM_THREADS" if os.environ.get("OMP_NUM_THREADS") else "one a core"
    return ok("threads", f"{threads}, {chosen}", **facts)


def _memory() -> Iterator[Finding]:
    there = system_memory()
    if there is None:
        yield ok("memory", "the system does not say how much there is")
        return
    whose = "that this container may take" if there.limited else "of this machine"
    text = f"{size(there.available)} free of the {size(there.total)} {whose}"
    facts = {"available": there.available, "total": there.total, "swap": there.swap, "limited": there.limited}
    if there.available < LITTLE_MEMORY:
        fix = "end other programs, or give the machine or container more; forgeml plan tells what a run needs"
        yield warning("memory", f"{text}; small models alone need {size(LITTLE_MEMORY)}", fix, **facts)
    else:
        yield ok("memory", text, **facts)


def _open_files() -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FEW_FILES:
        text = f"a process may have {soft} open at once, which is few"
        yield warning("open files", text, f"run ulimit -n {min(hard, 1024) if hard > 0 else 1024}", limit=soft)
    else:
        yield ok("open files", f"{soft:,} at once" if soft > 0 else "as many as wanted", limit=soft)
