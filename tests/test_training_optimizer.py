"""Parameter groups, warm-up and schedules."""

from __future__ import annotations

import pytest
import torch

from forgeml.config.schema import TrainingConfig
from forgeml.training.optimizer import build_optimizer, build_schedule, warmup_length


class Small(torch.nn.Module):
    """A layer, a norm and an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(5, 4)
        self.linear = torch.nn.Linear(4, 4)
        self.norm = torch.nn.LayerNorm(4)
        self.frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)


def test_biases_and_norms_do_not_decay() -> None:
    """Two matrices decay; the bias and both parts of the norm do not; a frozen weight is in no group."""
    decayed, spared = build_optimizer(Small(), TrainingConfig(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], len(decayed["params"])) == (0.1, 2)
    assert (spared["weight_decay"], len(spared["params"])) == (0.0, 3)


@pytest.mark.parametrize(
    ("setting", "steps", "wanted"), [(0, 100, 0), (0.06, 252, 16), (0.5, 3, 2), (1, 9, 1), (500, 9, 500)]
)
def test_warmup_below_one_is_a_share(setting: float, steps: int, wanted: int) -> None:
    """From 1 on the setting counts steps, below it is a share of all steps, rounded up."""
    assert warmup_length(setting, steps) == wanted


@pytest.mark.parametrize(
    ("schedule", "halfway", "end"), [("linear", 0.5, 0.0), ("cosine", 0.5, 0.0), ("constant", 1.0, 1.0)]
)
def test_schedules(schedule: str, halfway: float, end: float) -> None:
    """After the warm-up each course is where its name says, halfway and at the end."""
    config = TrainingConfig.model_validate({"learning_rate": 1e-2, "warmup_steps": 10, "schedule": schedule})
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=config.learning_rate)
    course = build_schedule(optimizer, config, total_steps=110)
    rates = []
    for _ in range(111):
        rates.append(course.get_last_lr()[0] / config.learning_rate)
        optimizer.step()
        course.step()
    assert rates[:11] == pytest.approx([step / 10 for step in range(11)])
    assert (rates[60], rates[110]) == pytest.approx((halfway, end), abs=1e-9)
