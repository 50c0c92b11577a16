"""What is read of a text, and the pieces that it makes up."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from forgeml.data.tokens.pieces import MOST_WINDOWS, Choice, Ints, assemble, choose, share
from forgeml.data.tokens.tokenizing import Template

PLAIN = Template(((), ()), ((), ()), (0,))
PAIR = Template(((), (-1,), ()), ((), (0,), ()), (0, 1))


def _sizes(*values: int) -> Ints:
    """Sizes of some texts."""
    return np.array(values, np.int64)


def _read(choice: Choice, *sizes: Ints) -> list[list[int]]:
    """The places of the tokens in their own texts, piece by piece; -1 between the two texts of a pair."""
    texts: tuple[NDArray[np.int32], ...] = tuple(
        np.concatenate([np.arange(size, dtype=np.int32) for size in one]) for one in sizes
    )
    pieces = assemble(PLAIN if len(sizes) == 1 else PAIR, texts, sizes, choice, 99)
    ends = np.concatenate([[0], pieces.lengths.cumsum()])
    return [pieces.ids[start:stop].tolist() for start, stop in itertools.pairwise(ends)]


def _one_by_one(first: int, second: int, room: int) -> tuple[int, int]:
    """The rule `longest_first` as the Rust code has it."""
    if first + second <= room:
        return first, second
    small, large = sorted((first, second))
    large = small if small > room else max(small, room - small)
    if small + large > room:
        small = room // 2
        large = small + room % 2
    return (large, small) if first > second else (small, large)


@pytest.mark.parametrize("room", [2, 3, 7, 10])
def test_pairs_share_as_the_library_has_it(room: int) -> None:
    """For all sizes, what is kept of both texts is what the library's rule keeps."""
    pairs = list(itertools.product(range(14), repeat=2))
    first, second = (_sizes(*one) for one in zip(*pairs, strict=True))
    kept = zip(*(one.tolist() for one in share((first, second), room)), strict=True)
    assert list(kept) == [_one_by_one(*pair, room) for pair in pairs]


def test_head_and_tail_are_those_of_the_paper() -> None:
    """Of 510 tokens 128 are from the beginning and 382 from the end; what fits is read whole."""
    sizes = _sizes(1000, 510, 3)
    choice = choose((sizes,), 510, "head_tail", last=False)
    long, exact, short = _read(choice, sizes)
    assert long == [*range(128), *range(1000 - 382, 1000)]
    assert (exact, short) == ([*range(510)], [0, 1, 2])
    assert choice.lost.tolist() == [True, False, False]


def test_head_and_tail_of_pairs_have_the_room_of_truncate() -> None:
    """Each text of a pair that is too long for its share loses its middle."""
    sizes = _sizes(20, 2), _sizes(20, 20)
    assert _read(choose(sizes, 16, "head_tail", last=False), *sizes) == [
        [0, 1, *range(14, 20), -1, 0, 1, *range(14, 20)],
        [0, 1, -1, *range(4), *range(10, 20)],
    ]


@pytest.mark.parametrize("room", [1, 2, 5, 8, 100])
def test_windows_read_everything_up_to_the_most(room: int) -> None:
    """Windows are full, begin at even steps, leave nothing out, and are no more than needed or allowed."""
    sizes = np.arange(200)
    choice = choose((sizes,), room, "windows", last=False)
    pieces = iter(_read(choice, sizes))
    step = room - room // 4
    for size, count, lost in zip(sizes.tolist(), choice.counts.tolist(), choice.lost.tolist(), strict=True):
        own = list(itertools.islice(pieces, count))
        needed = 1 + max(0, -((room - size) // step))
        assert count == min(needed, MOST_WINDOWS)
        assert lost == (needed > MOST_WINDOWS)
        if size > room:
            assert [len(piece) for piece in own] == [room] * count
            assert [piece[0] for piece in own[:-1]] == [number * step for number in range(count - 1)]
        if not lost and size:
            assert sorted({token for piece in own for token in piece}) == list(range(size))
            assert own[-1][-1] == size - 1


def test_windows_of_pairs_move_over_the_longer_text() -> None:
    """The shorter text is in each window, whole if it fits into half the room, and otherwise its beginning."""
    sizes = _sizes(3, 11, 4, 9), _sizes(12, 2, 4, 9)
    choice = choose(sizes, 8, "windows", last=False)
    assert choice.counts.tolist() == [3, 2, 1, 3]
    assert choice.lost.tolist() == [False, False, False, True]
    assert _read(choice, *sizes) == [
        *([0, 1, 2, -1, *range(start, start + 5)] for start in (0, 4, 7)),
        *([*range(start, start + 6), -1, 0, 1] for start in (0, 5)),
        [0, 1, 2, 3, -1, 0, 1, 2, 3],
        *([0, 1, 2, 3, -1, *range(start, start + 4)] for start in (0, 3, 5)),
    ]


def test_last_tokens_are_kept_on_demand() -> None:
    """Cut on the left, a text keeps its end."""
    sizes = _sizes(5, 2)
    assert _read(choose((sizes,), 3, "truncate", last=True), sizes) == [[2, 3, 4], [0, 1]]


def test_special_tokens_and_types_stand_around() -> None:
    """Each piece has the special tokens of the template, and every token its type."""
    template = Template(((1,), (2, 3), (4,)), ((5,), (6, 7), (8,)), (0, 1))
    sizes = _sizes(2, 0), _sizes(1, 0)
    texts = np.array([10, 11], np.int32), np.array([20], np.int32)
    pieces = assemble(template, texts, sizes, choose(sizes, 9, "truncate", last=False), 99)
    assert pieces.ids.tolist() == [1, 10, 11, 2, 3, 20, 4, 1, 2, 3, 4]
    assert pieces.types is not None
    assert pieces.types.tolist() == [5, 0, 0, 6, 7, 1, 8, 5, 6, 7, 8]
    assert pieces.lengths.tolist() == [7, 4]


def test_piece_without_tokens_gets_the_filler() -> None:
    """Where there are no special tokens an empty text is the one token that is given for it."""
    sizes = _sizes(0, 2, 0)
    choice = choose((sizes,), 4, "truncate", last=False)
    assert _read(choice, sizes) == [[99], [0, 1], [99]]
