"""A loss that is not finite at some step; the run stops there, names it, and keeps what was good."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from chaos.figures import Figure
from chaos.trainings import Materials, Training

STEPS = 36
"""That the runs have."""


def losses(folder: Path, numbers: range) -> Figure:
    """Poison the losses of one step of each run."""
    what = "runs stopped at the step, with exit code 7, its number, and the last good checkpoint"
    figure = Figure("not a number", what)
    materials = Materials.write(folder, rows=160, epochs=4)
    for step in (1 + STEPS * number // numbers.stop for number in numbers):
        run = Training(materials, folder / f"run-{step}", partial(_poison, step))
        figure.count(_failure(run, step))
    return figure


def _failure(run: Training, step: int) -> str:
    code, said = run.finish(), " ".join(run.log.read_text().split())
    if code != 7 or f"training step {step}:" not in said:
        return f"step {step} ended with {code}: {said[-800:]}"
    kept = sorted(entry.name for entry in run.folder.glob("checkpoints/step-*"))
    good = (step - 1) // 10 * 10
    if good and f"step-{good}" not in kept:
        return f"step {step} left the checkpoints {kept}"
    return run.complaints()


def _poison(step: int) -> None:
    """Let the loss of a step be no number."""
    from forgeml.training import loop

    whole, calls = loop.batch_logits, 0

    def poisoned(*arguments: object) -> torch.Tensor:
        nonlocal calls
        logits: torch.Tensor = whole(*arguments)  # type: ignore[arg-type]
        if torch.is_grad_enabled():
            calls += 1
        return logits * float("nan") if calls == step and torch.is_grad_enabled() else logits

    loop.batch_logits = poisoned
