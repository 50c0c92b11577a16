"""Which of the waiting texts the model reads together next."""

from __future__ import annotations

import numpy as np
import pytest

from forgeml.serving.answering.planning import FREE_TOKENS, MOST_PADDING, Size, choose_batch
from forgeml.serving.limits import Limits


def _sizes(*lengths: int) -> list[Size]:
    return [Size(1, length) for length in lengths]


def test_the_oldest_is_always_in() -> None:
    """Whatever else waits, the text that came first is read now."""
    assert choose_batch(_sizes(500, *[10] * 40), Limits())[0] == 0


def test_like_lengths_meet() -> None:
    """A batch holds the texts nearest in length to the oldest, on both sides, and none at the cost of much padding."""
    assert sorted(choose_batch(_sizes(20, 200, 19, 21, 5, 22), Limits())) == [0, 2, 3, 5]


def test_a_batch_is_bounded_in_texts_and_tokens() -> None:
    """It has no more texts, and no more tokens with padding, than the limits say; a text that is larger goes alone."""
    assert len(choose_batch(_sizes(*[30] * 100), Limits(batch_texts=16))) == 16
    assert len(choose_batch(_sizes(*[256] * 100), Limits(batch_tokens=1024))) == 4
    assert choose_batch(_sizes(5000, 5000), Limits(batch_tokens=4096)) == [0]


def test_windows_count_with_all_their_pieces() -> None:
    """A text of several pieces costs each of them."""
    waiting = [Size(8, 256), Size(8, 256), Size(1, 256)]
    assert choose_batch(waiting, Limits(batch_tokens=2304)) == [0, 2]


@pytest.mark.parametrize("seed", range(20))
def test_padding_stays_bounded(seed: int) -> None:
    """For any lengths, padding costs no more than its share of each text, and each is in a batch in the end."""
    lengths = np.random.default_rng(seed).integers(3, 257, 200).tolist()
    waiting = list(enumerate(_sizes(*lengths)))
    seen: list[int] = []
    while waiting:
        chosen = choose_batch([size for _, size in waiting], Limits())
        sizes = [waiting[place][1].longest for place in chosen]
        assert len(sizes) * max(sizes) <= Limits().batch_tokens
        assert len(sizes) * max(sizes) <= MOST_PADDING * sum(sizes) + FREE_TOKENS * len(sizes)
        seen += [waiting[place][0] for place in chosen]
        waiting = [one for place, one in enumerate(waiting) if place not in set(chosen)]
    assert sorted(seen) == list(range(200))
