"""The mean of the weights that a model had at its last evaluations."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from forgeml.config.schema import TrainingConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BYTES_OF_A_NUMBER = 4
SUM = "averaging"
"""What the names of the kept weights begin with in a checkpoint."""


class Averaging:
    """Keeps trained weights in the memory of the processor, in fp32, until the run ends.

    Where it is known which evaluations will be the last ones, their weights are added up as they come, which takes the
    place of one model. With patience any evaluation can be the last: then as many models are kept as are averaged.

    Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better Generalization"; of a run's last weights,
    Kaddour 2022, "Stop Wasting My Time! Saving Days of ImageNet and BERT Training with Latest Weight Averaging".
    """

    def __init__(self, config: TrainingConfig, evaluations: int) -> None:
        """Prepare for a run of so many evaluations, or fewer with patience; without `average_last` nothing is kept."""
        self.wanted = config.average_last or 0
        self.expected = min(self.wanted, evaluations)
        """Evaluations that will be averaged if the run goes to its end."""
        self._one_by_one = config.patience is not None and self.wanted > 0
        self._passed_over = 0 if self._one_by_one else evaluations - self.expected
        self._sums: deque[list[torch.Tensor]] = deque()
        self._added = self._seen = 0
        self._plan = [self.wanted, evaluations, self._one_by_one]
        """Which evaluations are averaged depends on this alone."""

    @property
    def count(self) -> int:
        """Evaluations whose weights are in the mean so far."""
        return min(self._added, self.wanted)

    def memory(self, model: PreTrainedModel) -> int:
        """Bytes that are kept in the end for this model."""
        models = self.expected if self._one_by_one else min(self.expected, 1)
        return models * BYTES_OF_A_NUMBER * sum(weight.numel() for weight in _trained(model))

    def add(self, model: PreTrainedModel) -> None:
        """Take in the weights at an evaluation, if it is or may be one of the last."""
        self._seen += 1
        if self._passed_over:
            self._passed_over -= 1
            return
        self._added += 1
        if self._sums and not self._one_by_one:
            for total, weight in zip(self._sums[0], _trained(model), strict=True):
                total.add_(weight.detach().cpu())
            return
        if len(self._sums) == self.wanted:
            self._sums.popleft()
        self._sums.append([weight.detach().to("cpu", torch.float32, copy=True) for weight in _trained(model)])

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it beside `tensors`, as JSON has it."""
        counts = {"seen": self._seen, "passed_over": self._passed_over, "added": self._added, "kept": len(self._sums)}
        return {"plan": self._plan, **counts}

    def tensors(self) -> dict[str, torch.Tensor]:
        """The weights that are kept, by names of their own."""
        return {
            f"{SUM}.{place}.{number}": weight
            for place, weights in enumerate(self._sums)
            for number, weight in enumerate(weights)
        }

    def put_back(self, state: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], model: PreTrainedModel) -> None:
        """Go on from what `state` and `tensors` gave; the model is the one whose weights they are.

        Where other evaluations are averaged now than were then, those that are over are none of them.
        """
        self._seen = state["seen"]
        if state["plan"] != self._plan:
            self._passed_over = max(0, self._passed_over - self._seen)
            return
        self._passed_over, self._added = state["passed_over"], state["added"]
        numbers = range(len(_trained(model)))
        self._sums.extend([tensors[f"{SUM}.{place}.{number}"] for number in numbers] for place in range(state["kept"]))

    @torch.no_grad()
    def put_into(self, model: PreTrainedModel) -> bool:
        """Give the model the mean, unless there are fewer than two to average; whether it was done.

        What is not trained, buffers among it, stays as it is.
        """
        if self.count < 2:
            return False
        for weight, *sums in zip(_trained(model), *self._sums, strict=True):
            weight.copy_(torch.stack(sums).sum(dim=0) / self.count)
        return True


def _trained(model: PreTrainedModel) -> list[torch.nn.Parameter]:
    return [weight for weight in model.parameters() if weight.requires_grad]
