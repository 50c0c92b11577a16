"""Every file of the newest checkpoint is removed, cut or flipped: it is found and named, and the one before serves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

from chaos.figures import Figure
from chaos.trainings import Materials, Training, kill
from forgeml.training.keeping.checkpoints import NAME


def damages(folder: Path, numbers: range) -> Figure:
    """A killed run, copied and damaged in every way, goes on to the weights of an undisturbed one."""
    figure = Figure("damaged checkpoints", "damages were found and named, and the run ended with the same weights")
    materials = Materials.write(folder, rows=320, epochs=4)
    whole, killed = Training(materials, folder / "whole"), Training(materials, folder / "killed")
    whole.undisturbed()
    process = killed.start()
    while not (killed.folder / "checkpoints" / "step-40" / "checkpoint.json").exists():
        process.join(0.001)
    kill(process)
    killed.join(process)
    steps = [
        int(found[1]) for entry in (killed.folder / "checkpoints").iterdir() if (found := NAME.fullmatch(entry.name))
    ]
    newest = killed.folder / "checkpoints" / f"step-{max(steps)}"
    names = sorted(str(file.relative_to(newest)) for file in newest.rglob("*") if file.is_file())
    every = list(product(names, WAYS))
    for name, way in every[numbers.start : numbers.stop : numbers.step]:
        run = Training(materials, folder / f"{way}-{name.replace('/', '-')}")
        shutil.copytree(killed.folder, run.folder, ignore=shutil.ignore_patterns("mlflow*"))
        WAYS[way](run.folder / "checkpoints" / newest.name / name)
        figure.count(_failure(run, whole, f"{newest.name} is passed over: {name}"))
    return figure


def _failure(run: Training, whole: Training, told: str) -> str:
    if run.finish() != 0:
        return f"{run.folder.name} did not go on: {run.log.read_text()[-1500:]}"
    if told not in " ".join(run.log.read_text().split()):
        return f"{run.folder.name} was not told: {run.log.read_text()[-1500:]}"
    return run.complaints() or ("" if run.result() == whole.result() else f"{run.folder.name} has other weights")


def _cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


WAYS: dict[str, Callable[[Path], None]] = {"removed": os.remove, "cut": _cut, "flipped": _flip}
