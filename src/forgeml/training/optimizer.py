"""AdamW and the course of its learning rate."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch.optim.lr_scheduler import LambdaLR

from forgeml.config.schema import TrainingConfig
from forgeml.model.blocks import find_blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NEVER_DECAYED = (torch.nn.LayerNorm, torch.nn.RMSNorm)


def build_optimizer(model: PreTrainedModel, config: TrainingConfig) -> torch.optim.AdamW:
    """Fused AdamW; weights decay, biases and the scales of layer norms do not (Loshchilov and Hutter, 2019).

    With `layer_decay` lower layers learn more slowly. The first group is the head's, at the configured learning rate.

    Raises:
        ModelError: with `layer_decay`, the model's blocks are not found.
    """
    spared = {
        name
        for prefix, module in model.named_modules()
        for parameter, _ in module.named_parameters(recurse=False)
        for name in [f"{prefix}.{parameter}".removeprefix(".")]
        if isinstance(module, NEVER_DECAYED) or parameter == "bias"
    }
    decay = config.layer_decay or 1.0
    depths = layer_depths(model) if decay < 1 else {}
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = defaultdict(list)
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            groups[depths.get(weight, 0), name in spared].append(weight)
    described = [
        {
            "params": groups[depth, bare],
            "lr": config.learning_rate * decay**depth,
            "weight_decay": 0.0 if bare else config.weight_decay,
        }
        for depth, bare in sorted(groups)
    ]
    return torch.optim.AdamW(described, lr=config.learning_rate, fused=True)


def layer_depths(model: PreTrainedModel) -> Mapping[torch.nn.Parameter, int]:
    """How many layers below the head a weight is: 1 in the highest block, most in the embeddings; above, it has none.

    The learning rate that decays with it is that of Howard and Ruder 2018, "Universal Language Model Fine-tuning for
    Text Classification", section 3.2; as one share for all layers, Clark et al. 2020, "ELECTRA".
    """
    found = find_blocks(model)
    downwards = [*reversed(found.blocks), found.embeddings]
    return {weight: depth for depth, layer in enumerate(downwards, start=1) for weight in layer.parameters()}


def build_schedule(optimizer: torch.optim.Optimizer, config: TrainingConfig, total_steps: int) -> LambdaLR:
    """The learning rate by step: a straight rise in the warm-up, then the chosen course down."""
    warmup = warmup_length(config.warmup_steps, total_steps)
    course = SCHEDULES[config.schedule]

    def factor(step: int) -> float:
        if step < warmup:
            return step / warmup
        return course((step - warmup) / max(1, total_steps - warmup))

    return LambdaLR(optimizer, factor)


def warmup_length(warmup_steps: float, total_steps: int) -> int:
    """Steps of warm-up; below 1 the setting is a share of all steps."""
    return math.ceil(warmup_steps * total_steps) if warmup_steps < 1 else int(warmup_steps)


def _linear(way: float) -> float:
    return max(0.0, 1.0 - way)


def _cosine(way: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, way)))


def _constant(way: float) -> float:
    return 1.0


# Share of the way after the warm-up (0 to 1) to share of the highest learning rate.
SCHEDULES = {"linear": _linear, "cosine": _cosine, "constant": _constant}
