"""A learner made of the materials of a run."""

from __future__ import annotations

import numpy as np
import torch

from forgeml.config.schema import TrainingConfig
from forgeml.data.batches import Collate, pack
from forgeml.data.batches import collate as padded
from forgeml.machine import keep_freed_memory
from forgeml.model.forward import batch_logits
from forgeml.model.losses import balanced_weights, loss_of
from forgeml.model.packed.dropout import use_quick_dropout
from forgeml.model.packed.remembering import Remembering
from forgeml.training.accelerator import build_accelerator
from forgeml.training.loop import Learner, TrainingSet, steps_in_run
from forgeml.training.materials import Materials
from forgeml.training.optimizer import build_optimizer, build_schedule


def prepare(config: TrainingConfig, materials: Materials) -> tuple[Learner, TrainingSet]:
    """What the loop works with. Accelerate computes in the chosen precision inside the model itself."""
    splits, device, processes = materials.splits, materials.runtime.device, materials.processes
    train = splits.train
    unreached = processes.group is not None and _has_unreached(materials)
    optimizer = build_optimizer(materials.model, config)
    schedule = build_schedule(optimizer, config, steps_in_run(len(train), config))
    own_precision = _speed_up(materials)
    accelerator = build_accelerator(
        materials.runtime, autocast=not own_precision, model=materials.model, unreached=unreached
    )
    model, optimizer = accelerator.prepare(materials.model.train(), optimizer)
    labels = materials.scale.standardized(train.labels) if materials.scale else train.labels
    weights = balanced_weights(splits.task, labels, len(splits.class_names)) if config.class_weights else None
    loss_sum = loss_of(splits.task, weights, device, config.label_smoothing)
    collate = _batches(config, materials)
    remembers = isinstance(collate, Remembering)
    learner = Learner(accelerator, model, optimizer, schedule, loss_sum, collate, remembers)
    return learner, TrainingSet(materials.train, labels, train.rows)


def _batches(config: TrainingConfig, materials: Materials) -> Collate:
    """Makes the batches of the run; what frozen blocks make of a text is worked out once, where that can be kept."""
    packing, frozen = materials.packing, config.freeze_layers or 0
    return Remembering(pack) if packing and packing.pass_over(frozen) else materials.collate


def _speed_up(materials: Materials) -> bool:
    """Make the model compute the same in less time; whether it sees to the precision itself from now on."""
    runtime, packing = materials.runtime, materials.packing
    if runtime.device == "cpu":
        keep_freed_memory()
        use_quick_dropout(materials.model)
    if packing is None or runtime.precision != "bf16":
        return False
    packing.compute_in(torch.bfloat16)
    return True


def _has_unreached(materials: Materials) -> bool:
    """Whether the model has weights that its output does not depend on, as a pooler that is not used."""
    model = materials.model
    logits = batch_logits(model, padded(materials.train, np.zeros(1, np.int64)), model.device)
    torch.autograd.backward(logits.sum())
    unreached = any(weight.requires_grad and weight.grad is None for weight in model.parameters())
    model.zero_grad(set_to_none=True)
    return unreached
