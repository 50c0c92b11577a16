"""Parameter groups, warm-up and schedules."""

from __future__ import annotations

import pytest
import torch

from encoders import BLOCKS, CONFIGS, COUNTS, small_classifier
from forgeml.config.schema import TrainingConfig
from forgeml.model import freezing, lora
from forgeml.model.blocks import find_blocks
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


def _rates(model: torch.nn.Module, **settings: float) -> dict[str, float]:
    """The learning rate of each weight that is trained, by its name."""
    config = TrainingConfig.model_validate({"learning_rate": 1e-3, **settings})
    rates = {weight: group["lr"] for group in build_optimizer(model, config).param_groups for weight in group["params"]}
    return {name: rates[weight] for name, weight in model.named_parameters() if weight in rates}


@pytest.mark.parametrize("name", CONFIGS)
def test_lower_layers_learn_more_slowly(name: str) -> None:
    """In every family the head has the learning rate, each block below a share of it, the embeddings the least."""
    model = small_classifier(name)
    rates, found = _rates(model, layer_decay=0.5), find_blocks(model)
    assert rates.keys() == {name for name, _ in model.named_parameters()}
    names = {weight: name for name, weight in model.named_parameters()}
    layers = [*reversed(found.blocks), found.embeddings]
    below = {names[weight]: depth for depth, layer in enumerate(layers, 1) for weight in layer.parameters()}
    assert max(below.values()) == COUNTS[name] + 1
    assert rates == pytest.approx({name: 1e-3 * 0.5 ** below.get(name, 0) for name in rates})


@pytest.mark.parametrize("off", [{}, {"layer_decay": 1.0}])
def test_without_decay_there_are_two_groups(off: dict[str, float]) -> None:
    """Left out or 1.0, all layers learn at the same rate, in the two groups that there always are."""
    groups = build_optimizer(small_classifier("bert"), TrainingConfig.model_validate(off)).param_groups
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(5e-5, 0.01), (5e-5, 0.0)]


def test_reported_rate_is_the_configured_one() -> None:
    """The first group is the head's, from which the rate of a step is told; biases do not decay at any depth."""
    config = TrainingConfig(learning_rate=1e-3, layer_decay=0.5, warmup_steps=0)
    optimizer = build_optimizer(small_classifier("bert"), config)
    assert build_schedule(optimizer, config, 10).get_last_lr()[0] == 1e-3
    decays = [group["weight_decay"] for group in optimizer.param_groups]
    assert decays == [0.01, 0.0] * (BLOCKS + 2)


def test_decay_goes_with_frozen_and_adapted_layers() -> None:
    """Blocks that are left keep their distance from the head, and adapters learn at the rate of their block."""
    model = small_classifier("bert")
    freezing.apply(model, 1)
    assert set(_rates(model, layer_decay=0.5).values()) == {1e-3, 5e-4, 2.5e-4}
    lora.apply(model, 2)
    adapters = {rate for name, rate in _rates(model, layer_decay=0.5).items() if ".lora_" in name}
    assert adapters == {5e-4, 2.5e-4}
