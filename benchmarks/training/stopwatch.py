"""Time, memory and the work of others, as a program that trains measures them of itself."""

from __future__ import annotations

import os
import re
import resource
import sys
import time
from dataclasses import dataclass, replace
from typing import Any

from training.job import Job


@dataclass(frozen=True)
class Moment:
    """What the clocks show."""

    time: float
    own: float
    """Seconds of processor that this process has used."""
    busy: float | None
    """Seconds of processor that the whole machine has used."""


class Stopwatch:
    """Runs from the begin of the first step to the end of the last one."""

    def __init__(self, job: Job) -> None:
        """Hold when the process was started."""
        self._job = job
        self._launched = Moment(job.launched, 0.0, job.busy)
        self._first: Moment | None = None
        self._figures: dict[str, Any] = {}

    def start(self) -> None:
        """The first step begins, as far as is known; whatever was said before does not count."""
        self._first = self._now()

    def first_step_took(self, seconds: float) -> None:
        """The first step has just been done and began so long ago; the clock is put right."""
        assert self._first is not None
        self._first = replace(self._first, time=self._now().time - seconds)

    def stop(self, examples: int) -> None:
        """The last step is done, and so many examples were learnt from in all."""
        assert self._first is not None
        end = self._now()
        self._figures = {
            "examples": examples,
            "seconds": end.time - self._first.time,
            "start_s": self._first.time - self._launched.time,
            "total_s": end.time - self._launched.time,
            "processor_s": end.own - self._first.own,
            "peak": peak_memory(),
            "gpu": _gpu(self._job.device),
            "other_cores": {"timed": _others(self._first, end), "whole": _others(self._launched, end)},
        }

    def figures(self) -> dict[str, Any]:
        """What was measured; `processor_s` of its own threads, memory in bytes, others' work in cores on average."""
        return self._figures

    def _now(self) -> Moment:
        if self._job.device == "cuda":
            import torch

            # Work that was handed to a GPU is not done yet.
            torch.cuda.synchronize()
        return Moment(time.monotonic(), sum(os.times()[:4]), busy_seconds())


def busy_seconds() -> float | None:
    """Seconds that all processors of the machine were at work since it was started; None where nothing tells it."""
    try:
        with open("/proc/stat", encoding="ascii") as lines:
            user, nice, system, _, _, *rest = map(int, next(lines).split()[1:9])
    except (OSError, ValueError):
        return None
    return float((user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK"))


def peak_memory() -> int:
    """Bytes of memory that this process has used at the most."""
    try:
        with open("/proc/self/status", encoding="utf-8") as lines:
            # What `resource` tells would count the process that started this one.
            return 1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", lines.read())[0])
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _gpu(device: str) -> dict[str, Any] | None:
    if device != "cuda":
        return None
    import torch

    return {"name": torch.cuda.get_device_name(), "peak": torch.cuda.max_memory_allocated()}


def _others(begin: Moment, end: Moment) -> float | None:
    """Cores that other processes took on average."""
    if begin.busy is None or end.busy is None:
        return None
    return max(0.0, end.busy - begin.busy - (end.own - begin.own)) / (end.time - begin.time)
