"""The mean of the last weights."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from encoders import small_classifier
from forgeml.config.schema import TrainingConfig
from forgeml.training.averaging import Averaging


def _averaging(evaluations: int, **settings: Any) -> Averaging:
    return Averaging(TrainingConfig.model_validate(settings), evaluations)


def _set(model: torch.nn.Module, value: float) -> None:
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(value)


def _values(model: torch.nn.Module) -> set[float]:
    return {value for weight in model.parameters() for value in weight.unique().tolist()}


@pytest.mark.parametrize("patience", [None, 9])
@pytest.mark.parametrize(("evaluations", "last", "mean"), [(7, 3, 5.0), (3, 3, 1.0), (2, 5, 0.5)])
def test_mean_of_the_last_ones(patience: int | None, evaluations: int, last: int, mean: float) -> None:
    """Of weights 0, 1, 2 and so on the last ones are averaged, or all if there are fewer."""
    model = small_classifier("bert")
    averaging = _averaging(evaluations, average_last=last, patience=patience)
    for number in range(evaluations):
        _set(model, number)
        averaging.add(model)
    assert averaging.count == min(last, evaluations)
    assert averaging.put_into(model)
    assert all(torch.equal(weight, torch.full_like(weight, mean)) for weight in model.parameters())


def test_run_that_ends_early_averages_what_was_last() -> None:
    """With patience the last evaluations are those before the end, wherever that is."""
    model = small_classifier("bert")
    averaging = _averaging(100, average_last=2, patience=1)
    for number in range(5):
        _set(model, number)
        averaging.add(model)
    assert averaging.put_into(model)
    assert _values(model) == {3.5}


@pytest.mark.parametrize(("settings", "added"), [({}, 4), ({"patience": 2}, 4), ({"average_last": 2}, 1)])
def test_less_than_two_change_nothing(settings: dict[str, int], added: int) -> None:
    """Without the setting, or with a single evaluation, the model stays as it is and nothing was kept."""
    model = small_classifier("bert")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    averaging = _averaging(added, **settings)
    for _ in range(added):
        averaging.add(model)
    assert not averaging.put_into(model)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_only_trained_weights_are_kept() -> None:
    """What is not trained takes no memory and stays as it is, and so do buffers."""
    model = small_classifier("bert")
    model.bert.requires_grad_(False)
    model.register_buffer("seen", torch.tensor(7))
    averaging = _averaging(2, average_last=2)
    head = sum(weight.numel() for weight in model.classifier.parameters())
    assert averaging.memory(model) == 4 * head
    before = model.bert.embeddings.word_embeddings.weight.clone()
    for number in range(2):
        _set(model.classifier, number)
        averaging.add(model)
    assert averaging.put_into(model)
    assert torch.equal(model.bert.embeddings.word_embeddings.weight, before)
    assert int(model.seen) == 7
    assert _values(model.classifier) == {0.5}


def test_memory_is_one_model_or_as_many_as_are_averaged() -> None:
    """Sums take the place of one model; with patience each one is kept; without the setting nothing is."""
    model = small_classifier("bert")
    one = 4 * sum(weight.numel() for weight in model.parameters())
    assert _averaging(9, average_last=3).memory(model) == one
    assert _averaging(9, average_last=3, patience=2).memory(model) == 3 * one
    assert _averaging(2, average_last=3, patience=2).memory(model) == 2 * one
    assert _averaging(9).memory(model) == 0


def test_weights_that_go_on_do_not_change_what_was_added() -> None:
    """A copy is taken, so the steps after an evaluation are not in the mean."""
    model = small_classifier("bert")
    averaging = _averaging(2, average_last=2)
    for number in (1, 2):
        _set(model, number)
        averaging.add(model)
        _set(model, 100)
    assert averaging.put_into(model)
    assert _values(model) == {1.5}


PLANS = [(5, None, 3.5), (8, None, 6.5), (5, 3, 3.5), (3, None, 1.5)]


@pytest.mark.parametrize(("evaluations", "patience", "mean"), PLANS)
def test_run_that_goes_on_with_another_plan(evaluations: int, patience: int | None, mean: float) -> None:
    """The last ones of the new plan are averaged, as far as they were still to come."""
    model = small_classifier("bert")
    averaging, other = _averaging(3, average_last=2), _averaging(evaluations, average_last=2, patience=patience)
    for number in range(2):
        _set(model, number)
        averaging.add(model)
    other.put_back(json.loads(json.dumps(averaging.state())), averaging.tensors(), model)
    for number in range(2, evaluations):
        _set(model, number)
        other.add(model)
    assert other.put_into(model)
    assert _values(model) == {mean}
