"""The loop: a generator that takes steps and reports them. It tracks nothing, prints nothing, saves nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from numpy.typing import NDArray
from torch.optim.lr_scheduler import LambdaLR

from forgeml.config.schema import TrainingConfig
from forgeml.data.batches import Collate, Indexes, collate, cut_by_pieces, plan_training
from forgeml.errors import TrainingError
from forgeml.events import StepReport
from forgeml.model.forward import batch_logits
from forgeml.model.losses import LossSum
from forgeml.records import EncodedTexts, Runtime

if TYPE_CHECKING:
    from forgeml.records import Labels

ROWS_SHOWN = 16


@dataclass(frozen=True)
class TrainingSet:
    """What is learnt from: encoded texts, their labels, and where each stands in the source."""

    encoded: EncodedTexts
    labels: Labels
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Learner:
    """What takes steps, all of it ready-made."""

    accelerator: Accelerator
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    loss_sum: LossSum
    """What is to be low."""
    collate: Collate = collate
    """Makes the batches that the model takes."""


def build_accelerator(runtime: Runtime, *, autocast: bool = True) -> Accelerator:
    """Accelerate on the chosen device and precision, unless the model sees to its precision itself."""
    # Its state is shared by the whole process and would keep the settings of an earlier run.
    AcceleratorState._reset_state(reset_partial_state=True)
    if runtime.device.startswith("cuda:"):
        torch.cuda.set_device(runtime.device)
    mixed = runtime.precision if autocast and runtime.precision != "fp32" else "no"
    return Accelerator(mixed_precision=mixed, cpu=runtime.device == "cpu", step_scheduler_with_optimizer=False)


def steps_in_epoch(texts: int, config: TrainingConfig) -> int:
    """Steps of the optimizer that one pass over the texts takes."""
    return -(-texts // (config.batch_size * config.gradient_accumulation_steps))


def steps_in_run(texts: int, config: TrainingConfig) -> int:
    """Steps of the optimizer that all epochs take."""
    return config.num_epochs * steps_in_epoch(texts, config)


def train_steps(learner: Learner, training_set: TrainingSet, config: TrainingConfig) -> Iterator[StepReport]:
    """Take all steps of the run, yielding after each.

    Between two steps the caller may evaluate, save, or stop by no longer asking.

    Raises:
        TrainingError: the loss or the gradient is not finite; the weights are those of the step before.
    """
    texts = len(training_set.encoded)
    total_steps = steps_in_run(texts, config)
    step, seen = 0, 0
    for epoch in range(config.num_epochs):
        plan = plan_training(training_set.encoded.lengths, config.batch_size, config.seed, epoch)
        for batches in _groups(plan, config.gradient_accumulation_steps):
            started = time.perf_counter()
            step, examples = step + 1, sum(map(len, batches))
            learning_rate = float(learner.schedule.get_last_lr()[0])
            loss, grad_norm = take_step(learner, training_set, batches, config.max_grad_norm, step)
            seen += examples
            seconds = time.perf_counter() - started
            yield StepReport(step, total_steps, seen / texts, loss, learning_rate, grad_norm, examples, seconds)


def take_step(
    learner: Learner, training_set: TrainingSet, batches: Sequence[Indexes], max_grad_norm: float, step: int
) -> tuple[float, float]:
    """One step of the optimizer on these batches; the mean loss, and the norm of the gradient before clipping.

    Raises:
        TrainingError: one of them is not finite; the weights are as before.
    """
    loss = accumulate_gradients(learner, training_set, batches, sum(map(len, batches)))
    grad_norm = float(learner.accelerator.clip_grad_norm_(learner.model.parameters(), max_grad_norm))
    # With fp16 a scaler skips steps whose gradient overflows; that is its way of finding the scale.
    if not (isfinite(loss) and (isfinite(grad_norm) or learner.accelerator.scaler)):
        rows = training_set.rows[np.concatenate(batches)]
        raise _not_finite(step, loss, grad_norm, float(learner.schedule.get_last_lr()[0]), rows)
    learner.optimizer.step()
    learner.schedule.step()
    learner.optimizer.zero_grad()
    return loss, grad_norm


def _groups(plan: Sequence[Indexes], size: int) -> Iterator[Sequence[Indexes]]:
    """The batches that are added up for one step; the last group of an epoch may be smaller."""
    return (plan[start : start + size] for start in range(0, len(plan), size))


def accumulate_gradients(
    learner: Learner, training_set: TrainingSet, batches: Sequence[Indexes], examples: int
) -> float:
    """Gradients of the mean loss over all the batches' examples, as one large batch would give them; that mean.

    Each batch's summed loss is divided by the number of examples of all, not by its own: batches of different
    sizes then weigh as their examples do.
    """
    total, device = 0.0, learner.accelerator.device
    # Texts in windows are many pieces, which together would take many times the memory; the gradients are the same.
    for indexes in (some for texts in batches for some in cut_by_pieces(training_set.encoded, texts, len(texts))):
        batch = learner.collate(training_set.encoded, indexes)
        labels = torch.from_numpy(training_set.labels[batch.indexes]).to(device)
        logits = batch_logits(learner.model, batch, device)
        loss = learner.loss_sum(logits, labels) / examples
        learner.accelerator.backward(loss)
        total += float(loss.detach())
    return total


def _not_finite(
    step: int, loss: float, grad_norm: float, learning_rate: float, rows: NDArray[np.int64]
) -> TrainingError:
    shown = ", ".join(str(row + 1) for row in sorted(rows)[:ROWS_SHOWN]) + (", ..." if len(rows) > ROWS_SHOWN else "")
    return TrainingError.at(
        f"training step {step}",
        f"loss {loss:g}, gradient norm {grad_norm:g}: not finite, at learning rate {learning_rate:g}, "
        f"on training rows {shown}",
        "try a lower training.learning_rate, more training.warmup_steps, or training.precision: fp32; "
        "look at the rows named",
    )
