"""Eight bits instead of thirty-two."""

from __future__ import annotations

import numpy as np

from forgeml.optimizing.rounding import (
    byte_range,
    column_scales,
    relative_error,
    round_by_range,
    round_by_row,
    round_weights,
    smoothing,
)

CHANCE = np.random.default_rng(0)
MIXED = CHANCE.normal(size=(400, 16)) @ CHANCE.normal(size=(16, 48)) + 0.1 * CHANCE.normal(size=(400, 48))
ROWS = MIXED.astype(np.float32)
WEIGHTS = CHANCE.normal(size=(48, 24)).astype(np.float32)


def test_a_row_is_off_by_half_a_step_at_most() -> None:
    """A row's largest value sets its step; rows of zeros stay zeros."""
    steps = np.abs(ROWS).max(axis=1, keepdims=True) / 127
    assert (np.abs(round_by_row(ROWS) - ROWS) <= 0.5001 * steps).all()
    assert not round_by_row(np.zeros((2, 5), np.float32)).any()


def test_a_range_has_an_exact_zero() -> None:
    """Zero, which padding and masks are made of, is a step of every range."""
    for low, high in ((-1.0, 3.0), (0.5, 2.0), (-3.0, -1.0), (0.0, 0.0)):
        scale, zero = byte_range(low, high)
        assert scale > 0
        assert 0 <= zero <= 255
    assert (round_by_range(np.array([[0.0, -1.3, 2.9]], np.float32))[0, 0]) == 0


def test_weights_are_rounded_for_the_products() -> None:
    """The products with rows like the sample's are nearer than with each weight rounded on its own."""
    steps, scales = round_weights(WEIGHTS, ROWS)
    plain = np.rint(WEIGHTS / column_scales(WEIGHTS)) * scales
    wanted = ROWS @ WEIGHTS
    assert steps.dtype == np.int8
    assert relative_error(ROWS @ (steps * scales), wanted) < 0.7 * relative_error(ROWS @ plain, wanted)


def test_channels_that_never_vary_do_no_harm() -> None:
    """A channel that is always 0, and an output without weights, are rounded like any other."""
    rows, weights = ROWS.copy(), WEIGHTS.copy()
    rows[:, 3], weights[:, 5] = 0, 0
    steps, scales = round_weights(weights, rows)
    assert not steps[:, 5].any()
    assert np.isfinite(scales).all()


def test_a_loud_channel_is_turned_down() -> None:
    """Smoothing divides a channel of outliers by more than the others, and the error falls."""
    rows = ROWS.copy()
    rows[:, 7] *= 60
    factors = smoothing(rows, WEIGHTS, round_by_row)
    assert factors[7] > 3 * np.median(factors)
    wanted = rows @ WEIGHTS
    before = relative_error(round_by_row(rows) @ WEIGHTS, wanted)
    assert relative_error(round_by_row(rows / factors) @ (WEIGHTS * factors[:, None]), wanted) < before / 2
