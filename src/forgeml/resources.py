"""What of the machine this process may have: memory and processors, by the limits of its container too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")

FILES_OF_LIMITS = (
    ("memory.max", "memory.current", ("inactive_file", "active_file")),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
)
"""Of a control group, in its second and its first version: the limit, what is used of it, and what of that are copies
of files, which the system takes back when it needs the room."""


@dataclass(frozen=True)
class SystemMemory:
    """Memory in bytes."""

    total: int
    """Of the machine, or of the container where that may take less."""
    available: int
    """Of it, still to be had without swapping."""
    swap: int
    """Free space for swapping."""
    limited: bool
    """Whether it is a limit of the container that decides, not the machine."""


def system_memory(proc: Path = PROC, groups: Path = CGROUPS) -> SystemMemory | None:
    """What there is; None where the system does not say, which is everywhere but on Linux.

    Args:
        proc: where Linux tells of processes and memory.
        groups: where it tells of control groups, by which containers and schedulers limit memory.
    """
    facts = _numbers(proc / "meminfo", 1024)
    if "MemTotal" not in facts or "MemAvailable" not in facts:
        return None
    total, available, limited = facts["MemTotal"], facts["MemAvailable"], False
    for limit, left in _limits(proc, groups):
        if limit < total:
            total, limited = limit, True
        available = min(available, left)
    return SystemMemory(total, max(0, available), facts.get("SwapFree", 0), limited)


def held_memory(proc: Path = PROC) -> int:
    """Bytes of memory that this process has now; 0 where the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        pages = int((proc / "self" / "statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0


def processor_limit(proc: Path = PROC, groups: Path = CGROUPS) -> float | None:
    """Processors whose time this process may take, where its container limits that; None where nothing does."""
    found = []
    for folder in _groups(proc, groups, "cpu"):
        quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        with suppress(OSError, ValueError):
            # Both in one file, with `max` for no limit.
            quota, period = map(int, (folder / "cpu.max").read_text(encoding="ascii").split())
        if quota and period and quota > 0:
            found.append(quota / period)
    return min(found, default=None)


def _limits(proc: Path, groups: Path) -> Iterator[tuple[int, int]]:
    """Of each control group that this process is in: its limit, and what is left of it."""
    for folder in _groups(proc, groups, "memory"):
        for limit_file, used_file, of_files in FILES_OF_LIMITS:
            limit, used = _number(folder / limit_file), _number(folder / used_file)
            if limit is not None and used is not None:
                kept = _numbers(folder / "memory.stat", 1)
                yield limit, limit - used + sum(kept.get(name, 0) for name in of_files)


def _groups(proc: Path, groups: Path, controller: str) -> Iterator[Path]:
    """Folders of the groups for this kind, the innermost first; a container often sees its own as the outermost one."""
    lines: list[str] = []
    with suppress(OSError):
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" or controller in controllers.split(","):
            top = groups if number == "0" else groups / controller
            inner = top / path.strip("/")
            yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(top) and folder.is_dir())


def _number(path: Path) -> int | None:
    """The number in a file; None where there is none, as in one that says `max`."""
    with suppress(OSError, ValueError):
        return int(path.read_text(encoding="ascii"))
    return None


def _numbers(path: Path, unit: int) -> dict[str, int]:
    """Names and numbers of a file with one of each a line."""
    found: dict[str, int] = {}
    with suppress(OSError), path.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            words = line.replace(":", " ").split()
            if len(words) > 1 and words[1].isdecimal():
                found[words[0]] = int(words[1]) * unit
    return found
