"""A disk that is full; the best model from before stays as it was, and the bytes that are needed are told."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.figures import Figure
from chaos.trainings import Materials, Training

MEGA = 1_000_000
TOLD = ("No space left", "are needed", "cannot be written", "disk is full")


def can_mount() -> bool:
    """Whether this machine lets small disks be mounted."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


def disks(folder: Path, numbers: range) -> Figure:
    """Train into disks of growing size that hold an older best model."""
    what = "runs on a small disk ended well, or with the older best model as it was and the need told"
    figure = Figure("disk full", what)
    materials = Materials.write(folder, rows=160, epochs=2)
    before = Training(materials, folder / "before")
    before.undisturbed()
    model = before.weights.stat().st_size
    for number in numbers:
        run = Training(materials, folder / f"run-{number}", arguments=("--training.weight_decay", "0.02"))
        with _disk(run.folder, int(model * (1.5 + 16 * number / numbers.stop)) + 2 * MEGA):
            shutil.copytree(before.folder / "best_model", run.folder / "best_model")
            figure.count(_failure(run, before.result()))
    return figure


def _failure(run: Training, older: str) -> str:
    code = run.finish()
    said = " ".join(run.log.read_text().split())
    now = hashlib.sha256(run.weights.read_bytes()).hexdigest()
    if complaint := run.complaints():
        return complaint
    if code == 0:
        return "" if now != older else f"{run.folder.name} ended well without a new model"
    if code != 5 or now != older:
        stays = "stays" if now == older else "is gone"
        return f"{run.folder.name} ended with {code}, the older model {stays}: {said[-800:]}"
    return "" if any(words in said for words in TOLD) else f"{run.folder.name} does not say why: {said[-800:]}"


@contextmanager
def _disk(place: Path, size: int) -> Iterator[None]:
    """Inside `with`, a disk of so many bytes is mounted at a place."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)
