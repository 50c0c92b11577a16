"""Eight bits instead of thirty-two with as little change as can be, for matrix products `rows @ weights`.

Two known ideas, together: scales of the input channels are moved into the weights, as in SmoothQuant (Xiao et al.,
2023, arXiv:2211.10438), here with the strength that measures best; and the error of each rounded weight is made up for
by the weights not yet rounded, as in GPTQ (Frantar et al., 2023, arXiv:2210.17323).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
RoundRows = Callable[[Floats], Floats]

MOST = 127
"""Largest step of a signed byte that has a negative partner."""

STRENGTHS = (0.3, 0.5, 0.65, 0.8, 0.9)
"""How much of a channel's range goes into the weights: 0 none, 1 all."""

QUANTILES = (0.5, 0.9, 0.98)
"""Only channels that range further than this share of the channels are scaled down."""

SEARCH_ROWS = 1024
BLOCK = 64
"""Input channels that are rounded between two corrections of all the channels behind."""

DAMPING = 0.01
"""Added to the products of channels with themselves, as a share of their mean, for channels that never vary."""


def round_by_row(rows: Floats) -> Floats:
    """Rows as eight bits with a scale for each row would give them back; shape (rows, channels)."""
    scales = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-12) / MOST
    return np.asarray(np.rint(rows / scales) * scales, np.float32)


def round_by_range(rows: Floats) -> Floats:
    """Rows as eight bits between the smallest and the largest of all values would give them back."""
    scale, zero = byte_range(float(rows.min()), float(rows.max()))
    return np.asarray((np.clip(np.rint(rows / scale) + zero, 0, 255) - zero) * scale, np.float32)


def byte_range(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point of an unsigned byte that covers the range and 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max(high - low, 1e-12) / 255
    return scale, round(-low / scale)


def smoothing(rows: Floats, weights: Floats, round_rows: RoundRows) -> Floats:
    """By what to divide each input channel, and multiply its weights, for the least error after rounding both.

    Args:
        rows: what came in for sample texts, shape (rows, channels).
        weights: all that the channels are multiplied with, shape (channels, outputs).
        round_rows: how the rows will be rounded.

    Returns:
        Shape (channels,).
    """
    some = rows[:: -(-len(rows) // SEARCH_ROWS)]
    wanted = some @ weights

    def error(factors: Floats) -> float:
        scaled = weights * factors[:, None]
        scales = column_scales(scaled)
        got = round_rows(some / factors) @ (np.rint(scaled / scales) * scales)
        return float(np.square(got - wanted).mean())

    return min(_candidates(rows, weights), key=error)


def relative_error(got: Floats, wanted: Floats) -> float:
    """Mean over the rows of the square of the difference as a share of the square of what is wanted."""
    # Row by row: beside the huge values of a few tokens the errors of all the others would not show.
    sizes = np.maximum(np.square(wanted).mean(axis=1), 1e-12)
    return float((np.square(got - wanted).mean(axis=1) / sizes).mean())


def column_scales(weights: Floats) -> Floats:
    """Step of a signed byte for each output, shape (outputs,), from weights of shape (channels, outputs)."""
    largest = np.abs(weights).max(axis=0)
    return np.asarray(np.where(largest > 0, largest, 1) / MOST, np.float32)


def round_weights(weights: Floats, rows: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Weights as signed bytes, chosen so that the products with the rows change least.

    Args:
        weights: shape (channels, outputs).
        rows: what they are multiplied with for sample texts, shape (rows, channels).

    Returns:
        Bytes of the shape of the weights, and the scale of each output, shape (outputs,).
    """
    scales = column_scales(weights)
    wide = rows.astype(np.float64)
    products = wide.T @ wide
    diagonal = np.diag(products)
    # The channels that matter most are rounded first, while many others can still make up for them.
    order = np.argsort(-diagonal, kind="stable")
    products[np.diag_indices_from(products)] += DAMPING * max(float(diagonal.mean()), 1e-12)
    inverse = np.linalg.inv(products[np.ix_(order, order)])
    factors = np.ascontiguousarray(np.linalg.cholesky((inverse + inverse.T) / 2).T)
    left = weights[order].astype(np.float64)
    rounded = np.empty(weights.shape, np.int8)
    for start in range(0, len(left), BLOCK):
        stop = min(start + BLOCK, len(left))
        errors = np.empty((stop - start, left.shape[1]))
        for place in range(start, stop):
            steps = np.clip(np.rint(left[place] / scales), -MOST, MOST)
            rounded[order[place]] = steps
            error = (left[place] - steps * scales) / factors[place, place]
            left[place:stop] -= factors[place, place:stop, None] * error
            errors[place - start] = error
        left[stop:] -= factors[start:stop, stop:].T @ errors
    return rounded, scales


def _candidates(rows: Floats, weights: Floats) -> Iterator[Floats]:
    """Factors to try, shape (channels,) each; the first changes nothing."""
    reach = np.maximum(np.abs(rows).max(axis=0), 1e-5)
    sizes = np.maximum(np.abs(weights).max(axis=1), 1e-5)
    yield np.ones_like(reach)
    for strength in STRENGTHS:
        factors = reach**strength / sizes ** (1 - strength)
        yield factors / factors.mean()
    for quantile in QUANTILES:
        yield np.maximum(reach / np.quantile(reach, quantile), 1).astype(np.float32)
