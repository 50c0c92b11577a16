"""Which of the waiting texts the model reads together next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgeml.serving.limits import Limits

MOST_PADDING = 1.5
"""A text may join a batch if it costs up to so many times its own tokens there; alone it would cost once its tokens,
and what a call of the model costs besides."""
FREE_TOKENS = 8
"""What a call of the model costs besides its tokens, in tokens."""


@dataclass(frozen=True)
class Size:
    """Of a text as the model reads it."""

    pieces: int
    """One, or several where a long text is read in windows."""
    longest: int
    """Tokens of the longest piece."""


def choose_batch(waiting: Sequence[Size], limits: Limits) -> list[int]:
    """Places of the texts to be read next: the one that waits longest, and those most like it in length.

    Texts are added from both sides of its length, first the one that costs less padding, until the batch is full or the
    next ones would cost too much. No text can be passed over for ever, as each batch has the first one in it.

    Args:
        waiting: one or more, in the order in which they came.
        limits: how much the model reads at once; a text that is larger is read alone.
    """
    order = sorted(range(len(waiting)), key=lambda place: (waiting[place].longest, waiting[place].pieces))
    start = order.index(0)
    shorter, longer = order[:start], order[:start:-1]
    chosen, pieces, longest = [0], waiting[0].pieces, waiting[0].longest
    while len(chosen) < limits.batch_texts:
        sides = [(_cost(waiting[side[-1]], pieces, longest), side) for side in (shorter, longer) if side]
        fitting = [
            (cost - _alone(waiting[side[-1]]), side)
            for cost, side in sides
            if cost <= MOST_PADDING * _alone(waiting[side[-1]]) + FREE_TOKENS
            and pieces * longest + cost <= limits.batch_tokens
        ]
        if not fitting:
            break
        _, side = min(fitting, key=lambda one: one[0])
        chosen.append(side.pop())
        size = waiting[chosen[-1]]
        pieces, longest = pieces + size.pieces, max(longest, size.longest)
    return chosen


def _alone(size: Size) -> int:
    """Tokens that a text costs by itself."""
    return size.pieces * size.longest


def _cost(size: Size, pieces: int, longest: int) -> int:
    """Tokens, padding counted, that a batch of so many pieces grows by when this text joins it."""
    return (pieces + size.pieces) * max(longest, size.longest) - pieces * longest
