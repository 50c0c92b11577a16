"""kill -9 at any instant, twice a run; the same command then ends with the weights of an undisturbed run."""

from __future__ import annotations

import os
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


def kills(folder: Path, numbers: range) -> Figure:
    """Kill every run twice, half of them at random instants and half just after a file has appeared."""
    figure = Figure("kill -9", f"runs, each killed {KILLS} times, ended with the weights of an undisturbed one")
    materials = Materials.write(folder, rows=320, epochs=4)
    whole = Training(materials, folder / "whole")
    seconds = whole.undisturbed()
    for number in numbers:
        chance = random.Random(number)
        run = Training(materials, folder / f"run-{number}")
        for turn in range(KILLS):
            process = run.start()
            if chance.random() < 0.5:
                process.join(chance.uniform(0.1, 0.9 if turn == 0 else 0.6) * seconds)
            else:
                _await_files(process, run.folder, chance.randrange(1, 60 if turn == 0 else 30))
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
    known: set[str] = set()
    appeared = 0
    while process.exitcode is None and appeared < count:
        # Unlike Path.rglob it does not mind what disappears meanwhile.
        now = {f"{parent}/{name}" for parent, folders, files in os.walk(folder) for name in (*folders, *files)}
        appeared, known = appeared + len(now - known), now
        time.sleep(POLL_S)
