"""Two trainings into one folder at about the same time: one of them trains, the other one is told who does."""

from __future__ import annotations

import random
import time
from pathlib import Path

from chaos.figures import Figure
from chaos.trainings import Materials, Training

APART_S = 0.3
"""How much later the second one comes at most; the first one is in the midst of its work by then."""
IN_USE = 5
"""Exit code of the one that does not get the folder."""


def pairs(folder: Path, numbers: range) -> Figure:
    """Start pairs; sometimes the first gets the folder, and sometimes the second."""
    what = "pairs had one that trained as if alone, and one that was told who has the folder"
    figure = Figure("two in one folder", what)
    materials = Materials.write(folder, rows=160, epochs=2)
    alone = Training(materials, folder / "alone")
    alone.undisturbed()
    for number in numbers:
        run = Training(materials, folder / f"run-{number}")
        first = run.start()
        time.sleep(APART_S * random.Random(number).random())
        second = run.start()
        figure.count(_failure(run, alone, sorted((run.join(first), run.join(second)))))
    return figure


def _failure(run: Training, alone: Training, codes: list[int]) -> str:
    said = " ".join(run.log.read_text().split())
    if codes != [0, IN_USE] or "is in use by another training: process" not in said:
        return f"{run.folder.name} ended with {codes}: {said[-1500:]}"
    if run.result() != alone.result():
        return f"{run.folder.name} has other weights"
    return run.complaints()
