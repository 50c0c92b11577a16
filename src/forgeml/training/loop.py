"""The loop: a generator that takes steps and reports them. It tracks nothing, prints nothing, saves nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, release_memory
from numpy.typing import NDArray
from torch.distributed.tensor import DTensor
from torch.optim.lr_scheduler import LambdaLR

from forgeml.config.schema import TrainingConfig
from forgeml.data.batches import Collate, Indexes, collate, cut_by_pieces, plan_training
from forgeml.errors import TrainingError
from forgeml.events import StepReport
from forgeml.machine import is_out_of_memory
from forgeml.model.forward import batch_logits
from forgeml.model.losses import LossSum
from forgeml.records import EncodedTexts
from forgeml.runtime import seed_step

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
    remembers: bool = False
    """Whether the batches remember what frozen blocks made of their texts."""


def steps_in_epoch(texts: int, config: TrainingConfig) -> int:
    """Steps of the optimizer that one pass over the texts takes."""
    return -(-texts // (config.batch_size * config.gradient_accumulation_steps))


def steps_in_run(texts: int, config: TrainingConfig) -> int:
    """Steps of the optimizer that all epochs take."""
    return config.num_epochs * steps_in_epoch(texts, config)


def train_steps(
    learner: Learner, training_set: TrainingSet, config: TrainingConfig, done: int = 0, parts: int = 1
) -> Iterator[StepReport]:
    """Take all steps of the run that are left, yielding after each.

    Between two steps the caller may evaluate, save, or stop by no longer asking. A step depends on the weights, the
    optimizer, (seed, epoch) for its texts and (seed, step) for what it drops out, and on nothing else.

    Args:
        learner: what takes the steps, as it was after the last of those that are done.
        training_set: what is learnt from.
        config: of the run.
        done: steps that were taken before.
        parts: that each batch is taken in; where the memory does not suffice, they become more by themselves.

    Raises:
        TrainingError: the loss or the gradient is not finite; the weights are those of the step before.
    """
    texts, in_epoch = len(training_set.encoded), steps_in_epoch(len(training_set.encoded), config)
    total_steps = steps_in_run(texts, config)
    for epoch in range(done // in_epoch, config.num_epochs):
        plan = plan_training(training_set.encoded.lengths, config.batch_size, config.seed, epoch)
        groups = list(_groups(plan, config.gradient_accumulation_steps))
        before = max(0, done - epoch * in_epoch)
        seen = epoch * texts + sum(len(batch) for group in groups[:before] for batch in group)
        for step, batches in enumerate(groups[before:], start=epoch * in_epoch + before + 1):
            started = time.perf_counter()
            examples, learning_rate = sum(map(len, batches)), float(learner.schedule.get_last_lr()[0])
            taken = take_step(learner, training_set, batches, config, step, parts)
            seen, parts = seen + examples, taken.parts
            figures = (seen / texts, taken.loss, learning_rate, taken.grad_norm, examples)
            yield StepReport(step, total_steps, *figures, time.perf_counter() - started, parts)


@dataclass(frozen=True)
class Taken:
    """A step that was taken."""

    loss: float
    """Mean over its examples."""
    grad_norm: float
    """Before clipping."""
    parts: int
    """That each batch was taken in."""


def take_step(
    learner: Learner,
    training_set: TrainingSet,
    batches: Sequence[Indexes],
    config: TrainingConfig,
    step: int,
    parts: int = 1,
) -> Taken:
    """One step of the optimizer on these batches.

    Where there are several processes, each computes a part of every batch; all get the same figures.

    Args:
        learner: what takes the step.
        training_set: what is learnt from.
        batches: that are added up.
        config: of the run.
        step: counted from 1.
        parts: that each batch is taken in, or more where the memory does not suffice.

    Raises:
        TrainingError: loss or gradient is not finite; the weights are as before.
    """
    losses, parts = _gradients_within_memory(learner, training_set, batches, (config.seed, step), parts)
    norm = learner.accelerator.clip_grad_norm_(learner.model.parameters(), config.max_grad_norm)
    loss, grad_norm = _figures(learner.accelerator, losses, norm)
    # With fp16 a scaler skips steps whose gradient overflows; that is its way of finding the scale.
    if not (isfinite(loss) and (isfinite(grad_norm) or learner.accelerator.scaler)):
        rows = training_set.rows[np.concatenate(batches)]
        raise _not_finite(step, loss, grad_norm, float(learner.schedule.get_last_lr()[0]), rows)
    learner.optimizer.step()
    learner.schedule.step()
    learner.optimizer.zero_grad()
    return Taken(loss, grad_norm, parts)


def _gradients_within_memory(
    learner: Learner, training_set: TrainingSet, batches: Sequence[Indexes], draw: tuple[int, int], parts: int
) -> tuple[list[torch.Tensor], int]:
    """Gradients with each batch in as many parts as the memory asks for; the losses, and the number of parts.

    They are those of whole batches but for rounding, and for which numbers are dropped out.
    """
    examples = sum(map(len, batches))
    while True:
        seed_step(*draw, learner.accelerator.process_index)
        cut = [part for batch in batches for part in np.array_split(batch, parts) if len(part)]
        try:
            return accumulate_gradients(learner, training_set, cut, examples), parts
        except (MemoryError, RuntimeError) as error:
            # Of several processes the others wait in the middle of the step.
            if not is_out_of_memory(error) or len(cut) == examples or learner.accelerator.num_processes > 1:
                raise
        learner.optimizer.zero_grad()
        release_memory()
        parts *= 2


@torch.no_grad()
def recall(learner: Learner, training_set: TrainingSet, config: TrainingConfig, done: int) -> None:
    """Have frozen blocks work out anew what a run that goes on had remembered of them.

    It is done in the batches in which it was done before, as the last bits of it depend on them.
    """
    if not learner.remembers:
        return
    plan = plan_training(training_set.encoded.lengths, config.batch_size, config.seed, epoch=0)
    for group in list(_groups(plan, config.gradient_accumulation_steps))[:done]:
        for indexes, _ in _parts(training_set.encoded, group, learner.accelerator):
            batch_logits(learner.model, learner.collate(training_set.encoded, indexes), learner.accelerator.device)


def _groups(plan: Sequence[Indexes], size: int) -> Iterator[Sequence[Indexes]]:
    """The batches that are added up for one step; the last group of an epoch may be smaller."""
    return (plan[start : start + size] for start in range(0, len(plan), size))


def accumulate_gradients(
    learner: Learner, training_set: TrainingSet, batches: Sequence[Indexes], examples: int
) -> list[torch.Tensor]:
    """Gradients of the mean loss over all the batches' examples, as one large batch would give them.

    Each batch's summed loss is divided by the number of examples of all, not by its own: batches of different
    sizes then weigh as their examples do.

    Returns:
        Losses on the device whose sum, averaged over the processes as the gradients are, is that mean.
    """
    accelerator, losses = learner.accelerator, []
    parts = _parts(training_set.encoded, batches, accelerator)
    for number, (indexes, counted) in enumerate(parts, start=1):
        # The processes exchange gradients once a step, with the last part.
        with nullcontext() if number == len(parts) else accelerator.no_sync(learner.model):
            batch = learner.collate(training_set.encoded, indexes)
            labels = torch.from_numpy(training_set.labels[batch.indexes]).to(accelerator.device)
            logits = batch_logits(learner.model, batch, accelerator.device)
            # The average over the processes is a mean over all examples if each takes its mean over its share of them.
            loss = learner.loss_sum(logits, labels) / (examples / accelerator.num_processes if counted else inf)
            accelerator.backward(loss)
        losses.append(loss.detach())
    return losses


def is_divided(learner: Learner) -> bool:
    """Whether each process has only a part of the model."""
    return bool(learner.accelerator.distributed_type == DistributedType.FSDP)


def whole_weights(learner: Learner) -> Mapping[str, torch.Tensor] | None:
    """The weights of a model of which each process has only a part, put together in the main process.

    All processes must ask together. None where a process has them all.
    """
    if not is_divided(learner):
        return None
    weights: Mapping[str, torch.Tensor] = learner.accelerator.get_state_dict(learner.model)
    return weights


def _parts(encoded: EncodedTexts, batches: Sequence[Indexes], accelerator: Accelerator) -> list[tuple[Indexes, bool]]:
    """What this process computes of some batches: texts, and whether they count.

    Every process has as many parts, since all must go through a model together of whose weights each has only some.
    Where one has too few, because there are fewer texts than processes or because windows are cut apart, a text that
    does not count fills up.
    """
    parts: list[tuple[Indexes, bool]] = []
    for texts in batches:
        # Texts of a batch are sorted by length, so these shares have about as many tokens.
        shares = [texts[rank :: accelerator.num_processes] for rank in range(accelerator.num_processes)]
        # Texts in windows are many pieces, which together would take many times the memory; the gradients are the same.
        cut = [cut_by_pieces(encoded, share, len(share)) if len(share) else [] for share in shares]
        mine = cut[accelerator.process_index]
        parts += [(indexes, True) for indexes in mine]
        parts += [(texts[:1], False)] * (max(map(len, cut)) - len(mine))
    return parts


def _figures(accelerator: Accelerator, losses: list[torch.Tensor], norm: torch.Tensor) -> tuple[float, float]:
    """The mean loss of a step and the norm of its gradient as numbers; the device is waited for once."""
    if accelerator.num_processes > 1:
        losses = [accelerator.reduce(torch.stack(losses).sum(), reduction="mean")]
    # With FSDP the norm itself lies in parts.
    whole = norm.full_tensor() if isinstance(norm, DTensor) else norm
    *parts, grad_norm = torch.stack([*losses, whole]).tolist()
    return sum(parts), grad_norm


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
