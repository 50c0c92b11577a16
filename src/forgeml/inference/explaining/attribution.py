"""How much each of several parts of a text adds to a score that can only be asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Masks = NDArray[np.bool_]
Numbers = NDArray[np.float64]
Indexes = NDArray[np.int64]
Value = Callable[[Masks], Numbers]
"""From which parts are kept, shape (texts, parts), to the score of each such text, shape (texts,)."""

SEED = 0
FITTED, AGAINST = 0.4, 0.2
"""Shares of the calls that go to the linear model, and to the walk along the parts that speak against."""
LEAST_OUT, MOST_OUT = 0.2, 0.5
"""Shares of the parts that a sample leaves out."""
PENALTY = 1.0
"""Of the squared weights; keeps them small where there are fewer samples than parts."""
LOOKS, FEWEST_LOOKS = 0.25, 3
"""Share of the parts that are tried at each step of a walk, and the fewest."""
TILT = 1e-6
"""Part of the greatest weight by which those that share their weight differ."""
MEMORY = 0.02
"""How much the linear model says in the choice of the next part; the rest is what the part's loss shows by then."""


def attribute(value: Value, parts: int, calls: int) -> Numbers:
    """Weight of each part: what the score loses without it.

    The parts for the score are left out one after the other, each time the one whose loss tells most by then, and what
    is lost on the way are their weights. Where two parts say the same, the loss of either alone shows nothing; there a
    linear model tells where to begin, fitted to the scores of texts without many random parts, as in Ribeiro et al.,
    "Why Should I Trust You?" (2016). Parts that count only together, such as a word said twice, share what they lose
    together: the losses are made to fall along the way by pooling adjacent violators (Ayer et al., "An Empirical
    Distribution Function for Sampling with Incomplete Information", 1955). The same is done for the parts against it.

    Args:
        value: gives the scores.
        parts: number of parts.
        calls: about how many texts may be scored; at least as many as there are parts.

    Returns:
        Shape (parts,). A score that is a sum over the parts gets its own summands back.
    """
    full = float(value(np.ones((1, parts), bool))[0])
    alone = ~np.eye(parts, dtype=bool)
    losses = full - value(alone)
    if parts < 2:
        return losses
    masks = _samples(parts, int(calls * FITTED) - parts)
    left = calls - parts - len(masks)
    prior: Numbers = losses + _fit(masks, full - value(masks) - (~masks) @ losses)
    weights = MEMORY * prior + (1 - MEMORY) * losses
    every = np.arange(parts)
    ahead, lost = _walk(value, full, _Guess(prior, losses), every, left - int(calls * AGAINST))
    others = every[~np.isin(every, ahead)]
    against = _Guess(-prior, -losses)
    back, won = _walk(lambda kept: -value(kept), -full, against, others, int(calls * AGAINST))
    heights, depths = _falling(lost), -_falling(won)
    # What was not reached counts less than what was.
    others = every[~np.isin(every, ahead + back)]
    highest, lowest = weights[others].max(initial=0), weights[others].min(initial=0)
    if len(heights) and highest > max(0.0, heights[-1]):
        weights[weights > 0] *= max(0.0, heights[-1]) / highest
    if len(depths) and lowest < min(0.0, depths[-1]):
        weights[weights < 0] *= min(0.0, depths[-1]) / lowest
    weights[ahead], weights[back] = heights, depths
    return weights


@dataclass(frozen=True)
class _Guess:
    """What is thought of the parts before a walk begins, each of shape (parts,)."""

    prior: Numbers
    """Weights in the linear model."""
    losses: Numbers
    """What the whole text loses without the part."""


def _samples(parts: int, count: int) -> Masks:
    """Masks in which each part is left out about as often as any other, shape (count, parts)."""
    generator = np.random.default_rng(SEED)
    masks: list[NDArray[np.bool_]] = []
    while len(masks) < count:
        size = min(parts - 1, max(1, round(generator.uniform(LEAST_OUT, MOST_OUT) * parts)))
        order = generator.permutation(parts)
        for start in range(0, parts - size + 1, size):
            masks.append(np.ones(parts, bool))
            masks[-1][order[start : start + size]] = False
    return np.array(masks[: max(0, count)], bool).reshape(-1, parts)


def _fit(masks: Masks, losses: Numbers) -> Numbers:
    """Weights of which the sum over what a mask leaves out is nearest to the loss: ridge regression."""
    out = (~masks).astype(np.float64)
    return np.asarray(np.linalg.solve(out.T @ out + PENALTY * np.eye(masks.shape[1]), out.T @ losses), np.float64)


def _walk(value: Value, full: float, guess: _Guess, parts: Indexes, calls: int) -> tuple[list[int], list[float]]:
    """Leave out one part after the other, those first that count most, while any is expected to count.

    Returns:
        The parts in that order, and what the score lost with each.
    """
    kept, reached, left, losses = np.ones(len(guess.prior), bool), full, calls, guess.losses.copy()
    looks = max(FEWEST_LOOKS, round(LOOKS * len(losses)))
    order: list[int] = []
    lost: list[float] = []
    tried = parts
    while len(tried):
        expected = MEMORY * guess.prior + (1 - MEMORY) * losses
        best = int(tried[expected[tried].argmax()])
        if expected[best] <= 0:
            break
        kept[best] = False
        reached -= float(losses[best])
        order.append(best)
        lost.append(float(losses[best]))
        still = parts[kept[parts]]
        tried = still[np.argsort(-expected[still], kind="stable")[: min(looks, left)]]
        masks = np.repeat(kept[None], len(tried), axis=0)
        masks[np.arange(len(tried)), tried] = False
        losses[tried] = reached - value(masks)
        left -= len(tried)
    return order, lost


def _falling(losses: list[float]) -> Numbers:
    """The nearest numbers that never rise, by pooling neighbours until none does; shape (losses,)."""
    pools: list[tuple[float, int]] = []
    for loss in losses:
        mean, size = loss, 1
        while pools and pools[-1][0] < mean:
            before, count = pools.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    falling: Numbers = np.repeat(
        np.array([mean for mean, _ in pools], np.float64), np.array([size for _, size in pools], np.int64)
    )
    # Of equal ones the first stays the first, by less than is shown.
    tilted: Numbers = falling - TILT * np.abs(falling).max(initial=0) * np.arange(len(falling))
    return tilted
