"""The best so far, and patience."""

from __future__ import annotations

from math import nan

import pytest

from forgeml.events import Evaluation
from forgeml.training.stopping import BestSoFar


def _evaluation(step: int, **metrics: float) -> Evaluation:
    return Evaluation("validation", 10, metrics, step)


def test_tie_keeps_the_earlier_one() -> None:
    """Only a truly better value makes a new best."""
    best = BestSoFar("accuracy", patience=None)
    assert [best.improved_by(_evaluation(i, accuracy=a)) for i, a in enumerate([0.5, 0.7, 0.7, 0.6])] == [
        True,
        True,
        False,
        False,
    ]
    assert best.best is not None
    assert best.best.step == 1
    assert not best.exhausted


def test_loss_is_better_when_lower() -> None:
    """For the loss the smallest value wins."""
    best = BestSoFar("loss", patience=None)
    assert [best.improved_by(_evaluation(i, loss=v)) for i, v in enumerate([1.0, 0.5, 0.8])] == [True, True, False]


def test_patience_counts_evaluations_in_a_row() -> None:
    """Patience runs out after that many failures in a row, and an improvement starts the count anew."""
    best = BestSoFar("accuracy", patience=2)
    seen = []
    for step, value in enumerate([0.5, 0.4, 0.6, 0.5, 0.5]):
        best.improved_by(_evaluation(step, accuracy=value))
        seen.append(best.exhausted)
    assert seen == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("metric", "before", "value", "taken"),
    [
        ("accuracy", 0.7, 0.7, True),
        ("accuracy", 0.7, 0.8, True),
        ("accuracy", 0.7, 0.6, False),
        ("loss", 0.5, 0.5, True),
        ("loss", 0.5, 0.6, False),
        ("accuracy", 0.7, nan, False),
    ],
)
def test_equal_is_enough_for_a_model_of_another_kind(metric: str, before: float, value: float, taken: bool) -> None:
    """Averaged weights are taken unless the best single ones have the better figure."""
    best = BestSoFar(metric, patience=None)
    single, mean = _evaluation(1, **{metric: before}), _evaluation(2, **{metric: value})
    best.improved_by(single)
    assert best.equalled_by(mean) == taken
    assert best.found is (mean if taken else single)
