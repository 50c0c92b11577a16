"""Which words of a text the model reads, where it is longer than the model's limit."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forgeml.data.tokens.pieces import Spans, choose
from forgeml.data.tokens.tokenizing import learn_template, tokenize
from forgeml.inference.explaining.words import Words
from forgeml.records import Cut

if TYPE_CHECKING:
    from forgeml.data.tokens.tokenizing import AnyTokenizer


def words_read(tokenizer: AnyTokenizer, parts: tuple[Words, ...], cut: Cut) -> NDArray[np.bool_]:
    """Whether the model reads at least one token of each word.

    Args:
        tokenizer: of the model.
        parts: the text, and for pairs the second one.
        cut: what is read of long texts.

    Returns:
        Shape (words of all parts,).

    Raises:
        ModelError: the tokenizer does not set the same special tokens around all texts.
    """
    room = cut.max_length - learn_template(tokenizer, len(parts) > 1).specials
    sizes = tuple(tokenize(tokenizer, [part.text])[1] for part in parts)
    choice = choose(sizes, room, cut.long_texts, tokenizer.truncation_side == "left")
    if not choice.lost.any():
        return np.ones(sum(map(len, parts)), bool)
    return np.concatenate([_reached(tokenizer, *both) for both in zip(parts, choice.parts, strict=True)])


def _reached(tokenizer: AnyTokenizer, words: Words, spans: Spans) -> NDArray[np.bool_]:
    @cache
    def tokens(count: int) -> int:
        """Tokens of the first words."""
        return int(tokenize(tokenizer, [words.text[: words.spans[count - 1][1]]])[1][0]) if count else 0

    read = np.zeros(len(words), bool)
    counts = range(len(words) + 1)
    for start, length in zip(spans.starts.ravel().tolist(), spans.lengths.ravel().tolist(), strict=True):
        if length:
            # Tokens only grow in number from word to word, so each end is found in a few looks.
            first = bisect_right(counts, start, key=tokens) - 1
            read[first : bisect_left(counts, start + length, key=tokens)] = True
    return read
