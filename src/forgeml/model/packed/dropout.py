"""Dropout whose random decisions are cheap on a processor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

DECISIONS = 1 << 16
"""Dropout is decided by 16 random bits for each number, so that its probability is exact to 0.0008 %."""


def draw_seed() -> int:
    """Draw a seed for a mask from torch's generator for the processor."""
    return int(torch.empty((), dtype=torch.int64).random_())


def keep_mask(seed: int, shape: torch.Size, probability: float, dtype: torch.dtype) -> tuple[torch.Tensor, float]:
    """Which numbers are kept; the same for the same seed, so that a mask need not be kept for the backward pass.

    torch draws each decision on its own, one after the other, in 6 ns. Here a fast generator (SFC64) decides four
    numbers with each of its words, in 0.5 ns a number.

    Args:
        seed: of the decisions.
        shape: of the mask.
        probability: of a number to be dropped.
        dtype: of the mask.

    Returns:
        1 for what is kept and 0 for what is dropped, and the factor that makes up for what is dropped.
    """
    dropped = round(probability * DECISIONS)
    if dropped == DECISIONS:
        return torch.zeros(shape, dtype=dtype), 1.0
    size = math.prod(shape)
    words = np.random.Generator(np.random.SFC64(seed)).integers(0, 2**64, size=-(-size // 4), dtype=np.uint64)
    decisions = torch.from_numpy(words.view(np.int16))[:size].view(shape)
    mask = torch.ge(decisions, dropped - DECISIONS // 2, out=torch.empty(shape, dtype=dtype))
    return mask, DECISIONS / (DECISIONS - dropped)


class _Dropped(torch.autograd.Function):
    """The mask is in the precision of the numbers, so that forward and backward are one product each."""

    @staticmethod
    def forward(ctx: Any, numbers: torch.Tensor, probability: float) -> torch.Tensor:
        ctx.seed, ctx.probability = draw_seed(), probability
        mask, factor = keep_mask(ctx.seed, numbers.shape, probability, numbers.dtype)
        return mask.mul_(numbers).mul_(factor)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (gradient,) = gradients
        mask, factor = keep_mask(ctx.seed, gradient.shape, ctx.probability, gradient.dtype)
        return mask.mul_(gradient).mul_(factor), None


class QuickDropout(torch.nn.Dropout):
    """`torch.nn.Dropout` with `keep_mask`; for processors."""

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Drop some of the numbers in training, none otherwise; same shape."""
        if not self.training or not self.p or numbers.device.type != "cpu":
            return super().forward(numbers)
        dropped: torch.Tensor = _Dropped.apply(numbers, self.p)  # type: ignore[no-untyped-call]
        return dropped


def use_quick_dropout(model: torch.nn.Module) -> None:
    """Turn all of a model's dropout layers into quick ones."""
    for module in model.modules():
        if type(module) is torch.nn.Dropout:
            module.__class__ = QuickDropout
