"""Linear layers that compute in 16 bits from weights of 32."""

from __future__ import annotations

from typing import Any

import torch


class _Linear(torch.autograd.Function):
    """Casts the weights once more for the backward pass: that is cheap, and keeping their short copies is not."""

    @staticmethod
    def forward(ctx: Any, numbers: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(numbers, weight)
        short = numbers.dtype
        return torch.nn.functional.linear(numbers, weight.to(short), None if bias is None else bias.to(short))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        numbers, weight = ctx.saved_tensors
        (gradient,) = gradients
        to_numbers, to_weight, to_bias = ctx.needs_input_grad
        rows = gradient.flatten(end_dim=-2)
        return (
            gradient @ weight.to(gradient.dtype) if to_numbers else None,
            (rows.t() @ numbers.flatten(end_dim=-2)).float() if to_weight else None,
            rows.sum(0).float() if to_bias else None,
        )


class ShortLinear(torch.nn.Linear):
    """`torch.nn.Linear` whose products are computed in 16 bits; its weights, and their gradients, have 32."""

    compute_dtype: torch.dtype

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """The layer's output in 16 bits, shape (..., outputs)."""
        product: torch.Tensor = _Linear.apply(  # type: ignore[no-untyped-call]
            numbers.to(self.compute_dtype), self.weight, self.bias
        )
        return product


def compute_in(module: torch.nn.Module, dtype: torch.dtype) -> None:
    """Let all linear layers in a module compute in `dtype`, a type of 16 bits."""
    for layer in module.modules():
        if type(layer) is torch.nn.Linear:
            layer.__class__ = ShortLinear
            layer.compute_dtype = dtype  # type: ignore[assignment]
