"""Weights of parts whose part in the score is known."""

from __future__ import annotations

import numpy as np
import pytest

from forgeml.inference.explaining.attribution import Masks, Numbers, Value, attribute


class Counting:
    """A score that knows how many texts it was asked for."""

    def __init__(self, value: Value) -> None:
        """Nothing asked yet."""
        self.value, self.asked = value, 0

    def __call__(self, masks: Masks) -> Numbers:
        """The scores."""
        self.asked += len(masks)
        return self.value(masks)


@pytest.mark.parametrize("parts", [1, 2, 3, 20, 100])
def test_weights_of_a_sum_are_its_summands(parts: int) -> None:
    """A linear score gets its own weights back, those for it and those against it."""
    own = np.random.default_rng(0).normal(size=parts)
    assert attribute(lambda masks: masks @ own + 2, parts, 4 * parts) == pytest.approx(own, abs=1e-3)


def test_two_that_say_the_same_share_the_weight() -> None:
    """Either of two is enough, so the loss of one alone is nothing; both weigh the same, and more than the rest."""
    weights = attribute(lambda masks: 3.0 * (masks[:, 2] | masks[:, 7]), 10, 40)
    assert weights[2] == pytest.approx(1.5, abs=1e-4)
    assert weights[7] == pytest.approx(1.5, abs=1e-4)
    assert np.abs(np.delete(weights, [2, 7])).max() < 1.5 / 2


def test_a_negated_word_speaks_against() -> None:
    """With `not` the good word counts the other way round, and `not` is what brings the score down."""

    def value(masks: Masks) -> Numbers:
        negated, good = masks[:, 1], masks[:, 2]
        return np.where(good, np.where(negated, -2.0, 2.0), 0.0)

    weights = attribute(value, 6, 24)
    assert weights.argmin() == 1
    assert weights[1] < -1.9
    assert np.abs(np.delete(weights, [1, 2])).max() < 1


def test_words_that_only_count_together() -> None:
    """Of two that are both needed, one is found and weighs what both bring."""
    weights = attribute(lambda masks: 2.0 * (masks[:, 0] & masks[:, 5]), 8, 32)
    assert weights[[0, 5]].max() == pytest.approx(2, abs=1e-4)
    assert np.argsort(-weights)[0] in (0, 5)


def test_nothing_matters() -> None:
    """A score that never changes gives weights of 0."""
    assert (attribute(lambda masks: np.full(len(masks), 7.0), 12, 48) == 0).all()


def test_no_parts_have_no_weights() -> None:
    """Without parts there is nothing to weigh."""
    assert attribute(lambda masks: np.zeros(len(masks)), 0, 0).shape == (0,)


@pytest.mark.parametrize(("parts", "calls"), [(1, 4), (5, 20), (40, 160), (100, 400), (60, 160)])
def test_calls_stay_within_the_budget(parts: int, calls: int) -> None:
    """Not more texts are scored than were allowed, one for the whole text aside."""
    chance = np.random.default_rng(0)
    once = Counting(lambda masks: chance.normal(size=len(masks)))
    attribute(once, parts, calls)
    assert once.asked <= calls + 1


def test_the_same_each_time() -> None:
    """Chance has a seed: the same score gives the same weights, bit for bit."""
    own = np.random.default_rng(1).normal(size=(30, 30))

    def value(masks: Masks) -> Numbers:
        return np.einsum("ti,ij,tj->t", masks, own, masks)

    assert (attribute(value, 30, 120) == attribute(value, 30, 120)).all()
