"""The numbers of a regression at a scale that a fresh head learns quickly, and back in the saved weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from forgeml.model.pretrained import open_config
from forgeml.records import Pretrained


@dataclass(frozen=True)
class Scale:
    """Numbers are learnt as `(number - mean) / deviation`; the saved model says them as they were written."""

    mean: float
    deviation: float
    head: str
    """Name of the linear layer whose output is the number."""

    def standardized(self, numbers: NDArray[np.float32]) -> NDArray[np.float32]:
        """Numbers as they are learnt."""
        return ((numbers - self.mean) / self.deviation).astype(np.float32)

    def restored(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Numbers as people wrote them, from those that are learnt."""
        return (logits * self.deviation + self.mean).astype(np.float32)

    def unfold(self, model: torch.nn.Module) -> None:
        """Take the scale out of a head that was trained on numbers as people write them, so that it can go on."""
        head = model.get_submodule(self.head)
        with torch.no_grad():
            head.weight.div_(self.deviation)  # type: ignore[operator]
            head.bias.sub_(self.mean).div_(self.deviation)  # type: ignore[operator]

    def folded(self, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A model's weights with the scale folded into its last layer, so that it says the restored numbers."""
        weight, bias = f"{self.head}.weight", f"{self.head}.bias"
        return {
            **weights,
            weight: weights[weight] * self.deviation,
            bias: weights[bias] * self.deviation + self.mean,
        }


def find_scale(model: torch.nn.Module, numbers: NDArray[np.float32]) -> Scale | None:
    """The scale of the training numbers; None for a head into which none can be folded."""
    heads = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and layer.out_features == 1 and layer.bias is not None
    ]
    if not heads:
        return None
    exact = numbers.astype(np.float64)
    return Scale(float(exact.mean()), float(exact.std()) or 1.0, heads[-1])


def tells_a_number(pretrained: Pretrained) -> bool:
    """Whether the model comes with a head of one output, as regressions and cross-encoders have it."""
    return bool(open_config(pretrained).num_labels == 1)
