"""How the texts of a packed batch lie."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from forgeml.model.packed.layout import MOST_FILLING, ROUNDED, Layout


def _layout(*lengths: int) -> Layout:
    return Layout.of(np.array(lengths), "cpu")


def test_texts_of_one_length_are_one_group_without_filling() -> None:
    """Then their attention needs neither copies nor a mask, if kernels are made for that length."""
    (group,) = _layout(8, 8, 8).groups
    assert (group.count, group.tokens, group.longest) == (3, slice(0, 24), 8)
    assert group.filled is group.kept is group.bias is None


def test_starts_and_bounds_say_where_each_text_lies() -> None:
    """Whatever the groups are."""
    layout = _layout(2, 3, 9)
    assert layout.starts.tolist() == [0, 2, 5]
    assert layout.bounds.tolist() == [0, 2, 5, 14]
    assert layout.bounds.dtype == torch.int32
    assert layout.longest == 9


@pytest.mark.parametrize("lengths", [(1,), (4, 5), (8, 9, 10, 10), (1, 2, 3, 50, 60, 200), tuple(range(1, 90))])
def test_groups_hold_every_text_once_and_little_filling(lengths: tuple[int, ...]) -> None:
    """No text is filled up to more than a fixed multiple of its length."""
    layout = _layout(*lengths)
    texts = [text for group in layout.groups for text in range(group.texts.start, group.texts.stop)]
    assert texts == list(range(len(lengths)))
    for group in layout.groups:
        own = lengths[group.texts]
        assert max(own) <= MOST_FILLING * min(own)
        assert max(own) <= group.longest < max(own) + ROUNDED
        assert group.longest % ROUNDED == 0
        assert group.tokens.stop - group.tokens.start == sum(own)


def test_filled_rows_keep_each_token_in_its_place() -> None:
    """What is taken back out of the filled-up rows is what was put in, and the bias hides the rest."""
    layout = _layout(4, 5, 5)
    (group,) = layout.groups
    assert group.filled is not None
    assert group.kept is not None
    assert group.bias is not None
    tokens = torch.arange(14)
    rows = tokens[group.filled]
    assert rows.view(3, 8)[:, :5].tolist() == [[0, 1, 2, 3, 0], [4, 5, 6, 7, 8], [9, 10, 11, 12, 13]]
    assert torch.equal(rows[group.kept], tokens)
    assert (group.bias == 0).flatten().nonzero().flatten().tolist() == group.kept.tolist()
