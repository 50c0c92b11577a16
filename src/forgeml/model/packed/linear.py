"""Linear layers that compute in 16 bits from weights of 32."""

from __future__ import annotations

import torch


class ShortLinear(torch.nn.Linear):
    """`torch.nn.Linear` whose products are computed in 16 bits; its weights, and their gradients, have 32."""

    compute_dtype: torch.dtype

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """The layer's output in 16 bits, shape (..., outputs)."""
        dtype = self.compute_dtype
        bias = None if self.bias is None else self.bias.to(dtype)
        return torch.nn.functional.linear(numbers.to(dtype), self.weight.to(dtype), bias)


def compute_in(module: torch.nn.Module, dtype: torch.dtype) -> None:
    """Let all linear layers in a module compute in `dtype`, a type of 16 bits."""
    for layer in module.modules():
        if type(layer) is torch.nn.Linear:
            layer.__class__ = ShortLinear
            layer.compute_dtype = dtype  # type: ignore[assignment]
