"""The loop: a generator that takes steps and reports them. It tracks nothing, prints nothing, saves nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import (
    DistributedDataParallelKwargs,
    DistributedType,
    FullyShardedDataParallelPlugin,
    GradientAccumulationPlugin,
)
from numpy.typing import NDArray
from torch.distributed.tensor import DTensor
from torch.optim.lr_scheduler import LambdaLR

from forgeml.config.schema import TrainingConfig
from forgeml.data.batches import Collate, Indexes, collate, cut_by_pieces, plan_training
from forgeml.errors import TrainingError
from forgeml.events import StepReport
from forgeml.machine import is_set
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


def build_accelerator(
    runtime: Runtime, *, autocast: bool = True, model: torch.nn.Module | None = None, unreached: bool = False
) -> Accelerator:
    """Accelerate on the chosen device, with the processes that were started together.

    Args:
        runtime: what to compute on.
        autocast: whether to see to the precision; otherwise the model does so itself.
        model: that will be prepared; where each process is to have a part of it, it is divided by its layers.
        unreached: whether the model has weights that its output does not depend on.
    """
    # Its state is shared by the whole process and would keep the settings of an earlier run.
    AcceleratorState._reset_state(reset_partial_state=True)
    if runtime.device.startswith("cuda:"):
        torch.cuda.set_device(runtime.device)
    mixed = runtime.precision if autocast and runtime.precision != "fp32" else "no"
    copies = DistributedDataParallelKwargs(find_unused_parameters=unreached, gradient_as_bucket_view=True)
    return Accelerator(
        mixed_precision=mixed,
        cpu=runtime.device == "cpu",
        step_scheduler_with_optimizer=False,
        # The mean over all examples is taken here; what `accelerate launch` was told must not divide it again.
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        kwargs_handlers=[copies],
        fsdp_plugin=_division(model),
    )


def _division(model: torch.nn.Module | None) -> FullyShardedDataParallelPlugin | None:
    """How a model is divided among processes; None leaves it to what Accelerate was told.

    Told nothing, it would take the blocks that transformers keeps whole, and fail over the embeddings among them, which
    it divides once more by themselves.
    """
    if model is None or not is_set("ACCELERATE_USE_FSDP") or os.environ.get("FSDP_TRANSFORMER_CLS_TO_WRAP"):
        return None
    rows = [list(module) for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    layers = {type(layer).__name__ for row in rows if len(row) > 1 for layer in row}
    return FullyShardedDataParallelPlugin(transformer_cls_names_to_wrap=sorted(layers))


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

    Where there are several processes, each computes a part of every batch; all get the same figures.

    Raises:
        TrainingError: one of them is not finite; the weights are as before.
    """
    losses = accumulate_gradients(learner, training_set, batches, sum(map(len, batches)))
    norm = learner.accelerator.clip_grad_norm_(learner.model.parameters(), max_grad_norm)
    loss, grad_norm = _figures(learner.accelerator, losses, norm)
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


def whole_weights(learner: Learner) -> Mapping[str, torch.Tensor] | None:
    """The weights of a model of which each process has only a part, put together in the main process.

    All processes must ask together. None where a process has them all.
    """
    if learner.accelerator.distributed_type != DistributedType.FSDP:
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
