"""Plans and padded batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from forgeml.data.batches import (
    SCORING_BATCH,
    TOKENS_ROUNDED,
    collate,
    gathered,
    pack,
    plan_scoring,
    plan_training,
    scoring_batches,
)
from forgeml.records import EncodedTexts

Lengths = NDArray[np.int64]


def _lengths(texts: int, seed: int = 0) -> Lengths:
    """Lengths as reviews have them: many short, few long."""
    return np.random.default_rng(seed).lognormal(4, 0.8, texts).astype(np.int64) + 1


def _encoded(lengths: Lengths, pad_id: int = 9) -> EncodedTexts:
    """Texts of these lengths; all ids are different."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return EncodedTexts(
        np.arange(100, 100 + offsets[-1], dtype=np.int32), offsets, pad_id, np.zeros(len(offsets) - 1, bool)
    )


def _padding(plan: list[Lengths], lengths: Lengths) -> float:
    """Share of padding among all places of the padded batches."""
    places = sum(int(lengths[batch].max()) * len(batch) for batch in plan)
    return 1 - int(lengths.sum()) / places


@pytest.mark.parametrize("batch_size", [1, 7, 16, 64])
@pytest.mark.parametrize("texts", [0, 1, 16, 17, 1000, 3333])
def test_epoch_has_every_text_once_in_full_batches(texts: int, batch_size: int) -> None:
    """All batches but one have the configured size, that one holds the rest, and no text is left out or repeated."""
    plan = plan_training(_lengths(texts), batch_size, seed=1, epoch=0)
    assert sorted(np.concatenate([np.zeros(0, np.int64), *plan]).tolist()) == list(range(texts))
    rest = [texts % batch_size] if texts % batch_size else []
    assert sorted(map(len, plan)) == sorted([batch_size] * (texts // batch_size) + rest)


def test_plan_is_a_function_of_seed_and_epoch() -> None:
    """The same seed and epoch give the same batches, and any other pair gives others."""
    lengths = _lengths(500)
    plans = {(seed, epoch): plan_training(lengths, 16, seed, epoch) for seed in (0, 1, 42) for epoch in (0, 1, 2)}
    for (seed, epoch), plan in plans.items():
        again = plan_training(lengths, 16, seed, epoch)
        assert all(np.array_equal(one, other) for one, other in zip(plan, again, strict=True))
    assert len({tuple(np.concatenate(plan)) for plan in plans.values()}) == len(plans)


def test_plan_leaves_the_global_state_alone() -> None:
    """The draws are the plan's own."""
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    plan_training(_lengths(100), 16, 0, 0)
    assert np.random.random() == expected


def test_texts_of_like_length_meet() -> None:
    """The share of padding is a small part of what a random order has, and long batches come at any time."""
    lengths = _lengths(5000)
    plan = plan_training(lengths, 16, 0, 0)
    order = np.random.default_rng(0).permutation(5000)
    random_plan = [order[start : start + 16] for start in range(0, 5000, 16)]
    assert _padding(random_plan, lengths) > 0.5
    assert _padding(plan, lengths) < 0.1
    longest = [int(lengths[batch].max()) for batch in plan]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.2


def test_texts_meet_others_in_each_epoch() -> None:
    """Who is in a batch together changes from epoch to epoch."""
    lengths = _lengths(2000)
    first, second = ({frozenset(batch.tolist()) for batch in plan_training(lengths, 16, 0, epoch)} for epoch in (0, 1))
    assert not first & second


def test_collate_pads_on_the_right() -> None:
    """Ids stand on the left, then the padding id; the mask tells them apart; the order is the one asked for."""
    batch = collate(_encoded(np.array([2, 4, 1])), np.array([2, 1, 0]))
    assert batch.input_ids.tolist() == [[106, 9, 9, 9], [102, 103, 104, 105], [100, 101, 9, 9]]
    assert batch.attention_mask.tolist() == [[1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch.input_ids.dtype == batch.attention_mask.dtype == np.int64
    assert batch.indexes.tolist() == [2, 1, 0]


def test_collate_takes_texts_without_tokens() -> None:
    """A text without tokens is all padding, one place wide."""
    batch = collate(_encoded(np.array([0, 0])), np.array([0, 1]))
    assert batch.input_ids.tolist() == [[9], [9]]
    assert batch.attention_mask.tolist() == [[0], [0]]


def _windowed(counts: list[int], length: int = 3) -> EncodedTexts:
    """Texts of so many pieces each, all pieces of one length; all ids are different."""
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    offsets = np.arange(bounds[-1] + 1) * length
    return EncodedTexts(
        np.arange(offsets[-1], dtype=np.int32), offsets, 99, np.zeros(len(bounds) - 1, bool), bounds=bounds
    )


def test_collate_keeps_the_pieces_of_a_text_together() -> None:
    """Each piece is a row and says which of the batch's texts it belongs to."""
    batch = collate(_windowed([1, 3, 2], length=2), np.array([2, 0, 1]))
    assert batch.input_ids.tolist() == [[8, 9], [10, 11], [0, 1], [2, 3], [4, 5], [6, 7]]
    assert batch.owners is not None
    assert batch.owners.tolist() == [0, 0, 1, 2, 2, 2]
    assert batch.indexes.tolist() == [2, 0, 1]
    assert collate(_encoded(np.array([2, 4])), np.array([0])).owners is None


def test_collate_pads_token_types_with_zero() -> None:
    """Token types stand where their ids stand; without any there is no array of them."""
    plain = _encoded(np.array([2, 3]))
    typed = EncodedTexts(plain.ids, plain.offsets, 9, plain.lost, types=np.array([0, 1, 0, 1, 2], np.uint8))
    types = collate(typed, np.array([1, 0])).token_type_ids
    assert types is not None
    assert (types.tolist(), types.dtype) == ([[0, 1, 2], [0, 1, 0]], np.int64)
    assert collate(plain, np.array([1, 0])).token_type_ids is None


@pytest.mark.parametrize("most", [1, 4, 32])
def test_scoring_bounds_the_pieces(most: int) -> None:
    """A batch of several texts has no more pieces than its size, and every text is scored once."""
    counts = np.random.default_rng(0).integers(1, 17, 200).tolist()
    batches = list(scoring_batches(_windowed(counts), most))
    assert sorted(np.concatenate([batch.indexes for batch in batches]).tolist()) == list(range(200))
    assert all(len(batch.input_ids) <= most or len(batch.indexes) == 1 for batch in batches)
    assert max(len(batch.indexes) for batch in batches) > 1 or most == 1
    assert max(counts) in [counts[index] for index in batches[0].indexes]


@pytest.mark.parametrize("texts", [0, 1, 32, 100])
def test_scoring_covers_all_texts_the_longest_first(texts: int) -> None:
    """Every text is scored once, and the batch that needs the most memory comes first."""
    lengths = _lengths(texts)
    plan = plan_scoring(_encoded(lengths), SCORING_BATCH)
    assert sorted(np.concatenate([np.zeros(0, np.int64), *plan]).tolist()) == list(range(texts))
    widths = [int(lengths[batch].max()) for batch in plan]
    assert widths == sorted(widths, reverse=True)
    assert all(len(batch) <= SCORING_BATCH for batch in plan)


def test_scoring_batches_hold_the_texts_of_the_plan() -> None:
    """The ids of each row are those of the text whose index goes with it."""
    encoded = _encoded(_lengths(70))
    for batch in scoring_batches(encoded, 16):
        for ids, mask, index in zip(batch.input_ids, batch.attention_mask, batch.indexes, strict=True):
            expected = encoded.ids[encoded.offsets[index] : encoded.offsets[index + 1]]
            assert ids[mask.astype(bool)].tolist() == expected.tolist()


def test_texts_of_several_encodings_make_one_batch() -> None:
    """Gathered texts are padded as they would be in their own encodings: windows, token types and what was lost."""
    plain, windows = _encoded(np.array([2, 5, 3]), pad_id=99), _windowed([1, 3], length=4)
    typed = replace(plain, types=np.arange(10, dtype=np.uint8), lost=np.array([True, False, False]))
    chosen = [(windows, 1), (typed, 0), (plain, 2), (windows, 0)]
    together = gathered(chosen)
    assert together.lost.tolist() == [False, True, False, False]
    batch = collate(together, np.arange(4))
    alone = [collate(encoded, np.array([text])) for encoded, text in chosen]
    assert batch.owners is not None
    assert batch.owners.tolist() == [0, 0, 0, 1, 2, 3]
    assert batch.token_type_ids is not None
    rows = [(one, row) for one in alone for row in range(len(one.input_ids))]
    for place, (one, row) in enumerate(rows):
        real = one.attention_mask[row] == 1
        length = int(real.sum())
        assert batch.input_ids[place, :length].tolist() == one.input_ids[row][real].tolist()
        assert batch.attention_mask[place].sum() == length
        types = np.zeros(length) if one.token_type_ids is None else one.token_type_ids[row][real]
        assert batch.token_type_ids[place, :length].tolist() == types.tolist()
    assert gathered([(plain, 1)]).bounds is None


def test_packed_batch_holds_the_tokens_of_its_texts_end_to_end() -> None:
    """Shorter texts come first, with their numbers, and positions are counted in each text."""
    encoded = _encoded(np.array([3, 1, 2, 4]))
    batch = pack(encoded, np.array([0, 3, 1]))
    assert batch.indexes.tolist() == [1, 0, 3]
    assert batch.lengths.tolist() == [1, 3, 4]
    assert batch.input_ids.tolist() == [103, 100, 101, 102, 106, 107, 108, 109] + [9] * (TOKENS_ROUNDED - 8)
    assert batch.position_ids.tolist() == [0, 0, 1, 2, 0, 1, 2, 3] + [0] * (TOKENS_ROUNDED - 8)
    assert batch.token_type_ids is batch.owners is batch.lower is None
    assert batch.places is not None
    assert batch.places.tolist() == [3, 0, 1, 2, 6, 7, 8, 9]


def test_packed_batch_says_which_text_each_piece_belongs_to() -> None:
    """Texts keep their order, pieces go by their length, and token types go with the tokens."""
    encoded = replace(
        _encoded(np.array([3, 1, 2])), bounds=np.array([0, 2, 3]), types=np.array([0, 0, 0, 1, 0, 1], np.uint8)
    )
    batch = pack(encoded, np.array([1, 0]))
    assert batch.indexes.tolist() == [1, 0]
    assert batch.lengths.tolist() == [1, 2, 3]
    assert batch.owners is not None
    assert batch.owners.tolist() == [1, 0, 1]
    assert batch.token_type_ids is not None
    assert batch.token_type_ids.tolist() == [1, 0, 1, 0, 0, 0] + [0] * (TOKENS_ROUNDED - 6)
