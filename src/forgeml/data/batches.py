"""Which texts go into a batch together, and the batch as tensors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from forgeml.records import Batch, EncodedTexts

BATCHES_IN_WINDOW = 50
"""Texts are sorted by length inside windows of this many batches: little padding, and still much chance."""

SCORING_BATCH = 32
"""Texts in a batch where no gradients are kept."""

Indexes = NDArray[np.int64]


def plan_training(lengths: Indexes, batch_size: int, seed: int, epoch: int) -> list[Indexes]:
    """One epoch of batches: every text once, `batch_size` in each batch but the last one that is cut.

    The order is a function of seed and epoch alone. Texts of like length meet in a batch.

    Args:
        lengths: tokens of each text, shape (texts,).
        batch_size: texts in a batch.
        seed: start of the draw.
        epoch: counted from 0.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    window = batch_size * BATCHES_IN_WINDOW
    batches: list[Indexes] = []
    for start in range(0, len(order), window):
        inside = order[start : start + window]
        batches += _cut(inside[np.argsort(lengths[inside], kind="stable")], batch_size)
    return [batches[index] for index in generator.permutation(len(batches))]


def plan_scoring(lengths: Indexes, batch_size: int) -> list[Indexes]:
    """Batches of all texts, the longest first, so that too little memory shows at once."""
    return _cut(np.argsort(-lengths, kind="stable"), batch_size)


def collate(encoded: EncodedTexts, indexes: Indexes) -> Batch:
    """The chosen texts as one padded batch."""
    lengths = encoded.lengths[indexes]
    longest = int(lengths.max(initial=1))
    ids = np.full((len(indexes), longest), encoded.pad_id, dtype=np.int64)
    mask = np.arange(longest) < lengths[:, None]
    for row, index in enumerate(indexes):
        ids[row, : lengths[row]] = encoded.ids[encoded.offsets[index] : encoded.offsets[index + 1]]
    return Batch(torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64)), indexes)


def scoring_batches(encoded: EncodedTexts, batch_size: int) -> Iterator[Batch]:
    """All texts in batches of like length."""
    return (collate(encoded, indexes) for indexes in plan_scoring(encoded.lengths, batch_size))


def _cut(order: Indexes, batch_size: int) -> list[Indexes]:
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
