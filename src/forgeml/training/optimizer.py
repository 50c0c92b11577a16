"""AdamW and the course of its learning rate."""

from __future__ import annotations

import math

import torch
from torch.optim.lr_scheduler import LambdaLR

from forgeml.config.schema import TrainingConfig

NEVER_DECAYED = (torch.nn.LayerNorm, torch.nn.RMSNorm)


def build_optimizer(model: torch.nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """Fused AdamW; weights decay, biases and the scales of layer norms do not (Loshchilov and Hutter, 2019)."""
    spared = {
        name
        for prefix, module in model.named_modules()
        for parameter, _ in module.named_parameters(recurse=False)
        for name in [f"{prefix}.{parameter}".removeprefix(".")]
        if isinstance(module, NEVER_DECAYED) or parameter == "bias"
    }
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for name, weight in trained if name not in spared], "weight_decay": config.weight_decay},
        {"params": [weight for name, weight in trained if name in spared], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


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
