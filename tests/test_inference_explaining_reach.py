"""Which words are read of a text that is too long."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from forgeml.inference.explaining.reach import words_read
from forgeml.inference.explaining.words import Words
from forgeml.records import Cut

TEXT = "the film was good and the actor was great but the plot was bad"


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    """A tokenizer that knows all words of the text and sets two special tokens around it, three around pairs."""
    return AutoTokenizer.from_pretrained(tiny_model)


def test_all_of_a_text_that_fits_is_read(tokenizer: PreTrainedTokenizerBase) -> None:
    """A text of the model's own length is read to its end."""
    words = Words.of(TEXT)
    assert words_read(tokenizer, (words,), Cut(len(words) + 2)).all()


@pytest.mark.parametrize(("long_texts", "read"), [("truncate", range(8)), ("head_tail", [0, 1, 8, 9, 10, 11, 12, 13])])
def test_what_is_cut_is_not_read(tokenizer: PreTrainedTokenizerBase, long_texts: str, read: list[int]) -> None:
    """The first tokens are read, or the first and the last ones."""
    found = words_read(tokenizer, (Words.of(TEXT),), Cut(10, long_texts))
    assert np.flatnonzero(found).tolist() == list(read)


def test_windows_read_all(tokenizer: PreTrainedTokenizerBase) -> None:
    """Windows reach to the end."""
    assert words_read(tokenizer, (Words.of(TEXT),), Cut(8, "windows")).all()


def test_a_word_is_read_if_its_first_token_is(tokenizer: PreTrainedTokenizerBase) -> None:
    """A word of many tokens at the limit counts as read, the one behind it does not."""
    words = Words.of("good xyzzyx film")
    assert words_read(tokenizer, (words,), Cut(2 + 3)).tolist() == [True, True, False]


def test_of_pairs_both_texts_are_cut(tokenizer: PreTrainedTokenizerBase) -> None:
    """Each has half of the room where both are long."""
    found = words_read(tokenizer, (Words.of(TEXT), Words.of(TEXT)), Cut(3 + 10))
    assert np.flatnonzero(found).tolist() == [*range(5), *range(14, 19)]


def test_text_without_words(tokenizer: PreTrainedTokenizerBase) -> None:
    """An empty text has no words, and beside a long one it takes no room."""
    assert words_read(tokenizer, (Words.of(""),), Cut(8)).shape == (0,)
    assert words_read(tokenizer, (Words.of(TEXT), Words.of("")), Cut(3 + 6)).sum() == 6


def test_last_tokens_where_the_tokenizer_says_so(tiny_model: Path) -> None:
    """A tokenizer that cuts at the left leaves the end to be read."""
    left = AutoTokenizer.from_pretrained(tiny_model, truncation_side="left")
    found = words_read(left, (Words.of(TEXT),), Cut(10))
    assert np.flatnonzero(found).tolist() == list(range(6, 14))
