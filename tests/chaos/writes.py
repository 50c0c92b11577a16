"""Death at each move on disk: no good state is ever lost, and the same command ends with the same weights."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from chaos.figures import Figure
from chaos.trainings import Materials, Training

MOVES = ("os.rename", "os.link", "os.mkdir", "os.rmdir", "os.remove", "os.truncate", "shutil.rmtree", "shutil.copyfile")
"""What Python tells of before it does it, beside files that are opened to be written."""


def writes(folder: Path, numbers: range) -> Figure:
    """Die at the first, the second, ... move on disk below the output folder, or at as many as there are runs."""
    figure = Figure("death at a move on disk", "runs ended with the weights of an undisturbed one")
    materials = Materials.write(folder, rows=160, epochs=2)
    materials = Materials(folder, {**materials.settings, "logging": {"save_interval": 4, "eval_interval": 5}})
    whole = Training(materials, folder / "whole")
    whole.sabotage = partial(_die_at, 0, str(whole.folder))
    whole.undisturbed()
    moves = int(Path(f"{whole.folder}.moves").read_text())
    runs = min(moves, numbers.stop)
    for number in range(numbers.start, runs, numbers.step):
        run = Training(materials, folder / f"run-{number}")
        run.sabotage = partial(_die_at, 1 + moves * number // runs, str(run.folder))
        died = run.finish()
        run.sabotage = None
        figure.count(_failure(run, whole, died))
    return figure


def _failure(run: Training, whole: Training, died: int) -> str:
    if died not in (0, -signal.SIGKILL):
        return f"{run.folder.name} ended with {died}: {run.log.read_text()[-1500:]}"
    if died and run.finish() != 0:
        return f"{run.folder.name} did not go on: {run.log.read_text()[-1500:]}"
    if run.result() != whole.result():
        return f"{run.folder.name} has other weights"
    return run.complaints()


def _die_at(number: int, folder: str) -> None:
    """Kill this process at its so-many-th move below the folder; 0 counts them all."""
    seen = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        opened = event == "open" and isinstance(arguments[1], str) and any(mode in arguments[1] for mode in "wax+")
        if not (opened or event in MOVES) or not str(arguments[0]).startswith(f"{folder}/"):
            return
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 0:
            handle = os.open(f"{folder}.moves", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.write(handle, str(seen).encode())
            os.close(handle)

    sys.addaudithook(watch)
