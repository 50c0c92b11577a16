"""How the texts of a packed batch lie one after the other, and which of them attend side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

MOST_FILLING = 1.25
"""Texts attend side by side, filled up to the longest of them, if that is at most so many times the shortest."""
ROUNDED = 8
"""They are filled up to a multiple of so many tokens: libraries prepare, and keep, kernels for each length."""


@dataclass(frozen=True)
class Group:
    """Neighbours of like length, whose attention is computed together."""

    texts: slice
    """Which of the batch's texts."""
    tokens: slice
    """Which of the batch's tokens."""
    longest: int
    """Tokens of the longest, rounded up."""
    filled: torch.Tensor | None = None
    """For each place of the filled-up rows, the token of the group that stands there; shape (texts * longest,)."""
    kept: torch.Tensor | None = None
    """The places of those rows that hold a token; shape (tokens of the group,)."""
    bias: torch.Tensor | None = None
    """0 for tokens and minus infinity for filling, in fp32; shape (texts, 1, longest). None: nothing is filled up."""

    @property
    def count(self) -> int:
        """Number of texts."""
        return int(self.texts.stop - self.texts.start)


@dataclass(frozen=True)
class Layout:
    """The texts of one packed batch, shorter ones before longer ones."""

    starts: torch.Tensor
    """First token of each text, shape (texts,)."""
    bounds: torch.Tensor
    """Where the texts begin and the last one ends, in 32 bits; shape (texts + 1,)."""
    longest: int
    """Tokens of the longest text."""
    groups: tuple[Group, ...]

    @property
    def tokens(self) -> int:
        """Tokens of all texts, those of the filling behind them left out."""
        return int(self.groups[-1].tokens.stop)

    @classmethod
    def of(cls, lengths: NDArray[np.int64], device: str | torch.device) -> Self:
        """Lay texts of these lengths, ascending, one after the other; shape (texts,)."""
        bounds = np.concatenate([[0], lengths.cumsum()])
        groups = tuple(_group(lengths, bounds, part, device) for part in _alike(lengths))
        return cls(
            torch.from_numpy(bounds[:-1]).to(device),
            torch.from_numpy(bounds.astype(np.int32)).to(device),
            int(lengths[-1]),
            groups,
        )


def _alike(lengths: NDArray[np.int64]) -> Iterator[slice]:
    """Neighbours that lie near enough in length."""
    start = 0
    while start < len(lengths):
        stop = int(np.searchsorted(lengths, lengths[start] * MOST_FILLING, side="right"))
        yield slice(start, stop)
        start = stop


def _group(lengths: NDArray[np.int64], bounds: NDArray[np.int64], part: slice, device: str | torch.device) -> Group:
    own, tokens = lengths[part], slice(int(bounds[part.start]), int(bounds[part.stop]))
    longest = -(-int(own[-1]) // ROUNDED) * ROUNDED
    if own[0] == longest:
        return Group(part, tokens, longest)
    columns = np.arange(longest)
    real = columns < own[:, None]
    # Filling repeats a text's first token, which is there for sure; no other token attends to it.
    filled = np.where(real, columns, 0) + (bounds[part] - tokens.start)[:, None]
    bias = np.where(real, np.float32(0), np.float32(-np.inf))[:, None]
    arrays = filled.ravel(), np.flatnonzero(real), bias
    return Group(part, tokens, longest, *(torch.from_numpy(array).to(device) for array in arrays))
