"""Some texts as arrays that a model takes: padded to one length, or packed end to end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


class LowerStates(Protocol):
    """Hidden states of a batch's tokens behind the blocks that are frozen."""

    def known(self) -> torch.Tensor | None:
        """Shape (tokens, width), without the filling; None if a text of the batch was not seen yet."""

    def keep(self, states: torch.Tensor) -> None:
        """Take what was worked out, shape (tokens, width), without the filling."""


@dataclass(frozen=True)
class Batch:
    """Some texts as padded arrays, a row for each piece."""

    input_ids: NDArray[np.int64]
    """Shape (pieces, longest)."""
    attention_mask: NDArray[np.int64]
    """1 where there is a token, 0 where there is padding; shape (pieces, longest)."""
    indexes: NDArray[np.int64]
    """Which texts of the encoded ones these are, shape (texts,)."""
    token_type_ids: NDArray[np.int64] | None = None
    """Shape (pieces, longest)."""
    owners: NDArray[np.int64] | None = None
    """Which of the batch's texts each piece belongs to, shape (pieces,). None: one piece a text, in order."""


@dataclass(frozen=True)
class PackedBatch:
    """Some texts end to end; shorter pieces stand before longer ones, and behind the last one a little filling."""

    input_ids: NDArray[np.int64]
    """Shape (tokens,), those of the filling among them."""
    position_ids: NDArray[np.int64]
    """Place of each token in its piece, counted from 0; shape (tokens,)."""
    lengths: NDArray[np.int64]
    """Tokens of each piece, ascending; shape (pieces,)."""
    indexes: NDArray[np.int64]
    """Which texts of the encoded ones these are, shape (texts,)."""
    token_type_ids: NDArray[np.int64] | None = None
    """Shape (tokens,)."""
    owners: NDArray[np.int64] | None = None
    """Which of the batch's texts each piece belongs to, shape (pieces,). None: one piece a text, in order."""
    places: NDArray[np.int64] | None = None
    """Where each token but the filling stands among the encoded ones, shape (tokens,)."""
    lower: LowerStates | None = None
    """What is known of the tokens already."""


AnyBatch = Batch | PackedBatch
