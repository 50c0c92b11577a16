"""Which texts go into a batch together, and the batch as padded arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forgeml.batch import AnyBatch, Batch, PackedBatch
from forgeml.records import EncodedTexts

BATCHES_IN_WINDOW = 50
"""Texts are sorted by length inside windows of this many batches: little padding, and still much chance."""

TOKENS_ROUNDED = 64
"""A packed batch is filled up to a multiple of so many tokens: for each number of them libraries prepare, and keep in
memory, kernels of their own."""

SCORING_BATCH = 32
"""Pieces in a batch where no gradients are kept, as many as texts unless they are read in windows."""

Indexes = NDArray[np.int64]

Collate = Callable[[EncodedTexts, Indexes], AnyBatch]
"""Makes one batch of the chosen texts."""


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


def plan_scoring(encoded: EncodedTexts, batch_size: int) -> list[Indexes]:
    """Batches of all texts, the longest first, so that too little memory shows at once."""
    order = np.argsort(-encoded.lengths, kind="stable")
    return _cut(order, batch_size) if encoded.bounds is None else cut_by_pieces(encoded, order, batch_size)


def collate(encoded: EncodedTexts, indexes: Indexes) -> Batch:
    """The chosen texts as one padded batch, the pieces of a text one after the other."""
    pieces, owners = _pieces(encoded, indexes)
    starts = encoded.offsets[pieces]
    lengths = encoded.offsets[pieces + 1] - starts
    longest = int(lengths.max(initial=1))
    columns = np.arange(longest)
    mask = columns < lengths[:, None]
    places = (starts[:, None] + columns)[mask]

    def padded(flat: NDArray[Any], filler: int) -> Indexes:
        rows = np.full(mask.shape, filler, dtype=np.int64)
        rows[mask] = flat[places]
        return rows

    types = None if encoded.types is None else padded(encoded.types, 0)
    return Batch(padded(encoded.ids, encoded.pad_id), mask.astype(np.int64), indexes, types, owners)


def pack(encoded: EncodedTexts, indexes: Indexes) -> PackedBatch:
    """The chosen texts as one batch without padding, shorter pieces first; texts of one piece go with them."""
    pieces, owners = _pieces(encoded, indexes)
    lengths = encoded.offsets[pieces + 1] - encoded.offsets[pieces]
    order = np.argsort(lengths, kind="stable")
    pieces, lengths = pieces[order], lengths[order]
    positions = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
    places = np.repeat(encoded.offsets[pieces], lengths) + positions
    filling = -len(places) % TOKENS_ROUNDED

    def filled(values: NDArray[Any], filler: int) -> Indexes:
        return np.pad(values.astype(np.int64), (0, filling), constant_values=filler)

    ids, types = filled(encoded.ids[places], encoded.pad_id), encoded.types
    texts = (indexes[order], None) if owners is None else (indexes, owners[order])
    return PackedBatch(
        input_ids=ids,
        position_ids=filled(positions, 0),
        lengths=lengths,
        indexes=texts[0],
        token_type_ids=None if types is None else filled(types[places], 0),
        owners=texts[1],
        places=places,
    )


def scoring_batches(encoded: EncodedTexts, batch_size: int) -> Iterator[Batch]:
    """All texts in batches of like length, with up to `batch_size` pieces each, or all the pieces of one text."""
    return (collate(encoded, indexes) for indexes in plan_scoring(encoded, batch_size))


def gathered(chosen: Sequence[tuple[EncodedTexts, int]]) -> EncodedTexts:
    """Texts of several encodings as one, in the order given.

    Args:
        chosen: one text or more, each by the encoding that it is in and its number there; all of one tokenizer. Where
            some have token types and others do not, those others are all of type 0.
    """
    pieces = [_span(encoded, text) for encoded, text in chosen]
    spans = [
        (encoded.offsets[start], encoded.offsets[end])
        for (encoded, _), (start, end) in zip(chosen, pieces, strict=True)
    ]
    ids = np.concatenate([one.ids[start:end] for (one, _), (start, end) in zip(chosen, spans, strict=True)])
    has_types = any(one.types is not None for one, _ in chosen)
    types = [
        np.zeros(end - start, np.uint8) if one.types is None else one.types[start:end]
        for (one, _), (start, end) in zip(chosen, spans, strict=True)
    ]
    lengths = np.concatenate(
        [np.diff(one.offsets[start : end + 1]) for (one, _), (start, end) in zip(chosen, pieces, strict=True)]
    )
    counts = np.array([end - start for start, end in pieces])
    return EncodedTexts(
        ids,
        np.concatenate([[0], lengths.cumsum()]),
        chosen[0][0].pad_id,
        np.array([one.lost[text] for one, text in chosen]),
        np.concatenate(types) if has_types else None,
        np.concatenate([[0], counts.cumsum()]) if (counts > 1).any() else None,
    )


def padded_size(encoded: EncodedTexts, indexes: Indexes) -> tuple[int, int]:
    """Pieces and longest piece of a batch of these texts: the shape of its arrays."""
    pieces, _ = _pieces(encoded, indexes)
    return len(pieces), int((encoded.offsets[pieces + 1] - encoded.offsets[pieces]).max(initial=1))


def cut_by_pieces(encoded: EncodedTexts, indexes: Indexes, most: int) -> list[Indexes]:
    """A batch as batches of up to `most` pieces each, or all the pieces of one text; itself where texts are whole."""
    if encoded.bounds is None:
        return [indexes]
    ends = (encoded.bounds[indexes + 1] - encoded.bounds[indexes]).cumsum()
    batches: list[Indexes] = []
    start = 0
    while start < len(indexes):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        batches.append(indexes[start:stop])
        start = stop
    return batches


def _pieces(encoded: EncodedTexts, indexes: Indexes) -> tuple[Indexes, Indexes | None]:
    """The pieces of the texts, and the place in `indexes` of the text that each belongs to."""
    if encoded.bounds is None:
        return indexes, None
    firsts = encoded.bounds[indexes]
    counts = encoded.bounds[indexes + 1] - firsts
    owners = np.repeat(np.arange(len(indexes)), counts)
    pieces = np.arange(len(owners)) + np.repeat(firsts - (counts.cumsum() - counts), counts)
    return pieces, owners


def _span(encoded: EncodedTexts, text: int) -> tuple[int, int]:
    """Where the pieces of a text begin and end."""
    return (text, text + 1) if encoded.bounds is None else (int(encoded.bounds[text]), int(encoded.bounds[text + 1]))


def _cut(order: Indexes, batch_size: int) -> list[Indexes]:
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
