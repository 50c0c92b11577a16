"""R1: kill -9 at any instant, twice a run; the same command then ends with the weights of an undisturbed run."""

from __future__ import annotations

import random
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from chaos.figures import Figure
from chaos.trainings import Materials, Training, kill

KILLS = 2
WITHIN_S = 0.02
"""After a file has appeared, half of the kills come within this time."""
POLL_S = 0.001


def kills(folder: Path, runs: int, seed: int = 0) -> Figure:
    """Kill every run twice, half of them at random instants and half just after a file has appeared."""
    chance = random.Random(seed)
    figure = Figure("kill -9", f"runs, each killed {KILLS} times, ended with the weights of an undisturbed one")
    materials = Materials.write(folder)
    whole = Training(materials, folder / "whole")
    started = time.monotonic()
    assert whole.finish() == 0, whole.log.read_text()[-3000:]
    seconds = time.monotonic() - started
    for number in range(runs):
        run = Training(materials, folder / f"run-{number}")
        for _ in range(KILLS):
            process = run.start()
            if number % 2:
                process.join(chance.uniform(0, seconds))
            else:
                _await_files(process, run.folder, chance.randrange(1, 60))
                time.sleep(chance.uniform(0, WITHIN_S))
            kill(process)
            if run.join(process) == 0:
                break
        figure.count(_failure(run, whole))
    return figure


def _failure(run: Training, whole: Training) -> str:
    if run.codes[-1] != 0 and run.finish() != 0:
        return f"{run.folder.name} ended with {run.codes[-1]}: {run.log.read_text()[-1500:]}"
    if run.result() != whole.result():
        return f"{run.folder.name}, ended by {run.codes}, has other weights"
    return run.complaints()


def _await_files(process: ForkServerProcess, folder: Path, count: int) -> None:
    """Wait until so many new files or folders have appeared below a folder, or the process has ended."""
    known: set[Path] = set()
    appeared = 0
    while process.exitcode is None and appeared < count:
        now = set(folder.rglob("*"))
        appeared, known = appeared + len(now - known), now
        time.sleep(POLL_S)
