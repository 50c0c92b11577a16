"""Small tokenizers of many kinds, made on the spot."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import ByT5Tokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast, RobertaTokenizer

from tiny import NEUTRAL

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<cls>", "<sep>"]


def byte_level(**settings: Any) -> PreTrainedTokenizerBase:
    """Of RoBERTa's class: a token for each byte and few merges, and two separators between the texts of a pair."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("o", "o"), ("i", "l"), ("il", "m")]
    pieces = [*SPECIALS, *alphabet, *(first + second for first, second in merges)]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    return RobertaTokenizer(vocab=vocabulary, merges=merges, model_max_length=512, **settings)


def bare(**settings: Any) -> PreTrainedTokenizerBase:
    """Adds no special tokens, as GPT-2's does."""
    return _of_words(None, eos_token="</s>", **settings)


def special_last(**settings: Any) -> PreTrainedTokenizerBase:
    """Special tokens at the end and of a third type, as XLNet's."""
    around = processors.TemplateProcessing(
        single="$A:0 <sep>:0 <cls>:2",
        pair="$A:0 <sep>:0 $B:1 <sep>:1 <cls>:2",
        special_tokens=[("<sep>", SPECIALS.index("<sep>")), ("<cls>", SPECIALS.index("<cls>"))],
    )
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return _of_words(around, pad_token="<pad>", model_input_names=names, **settings)


def in_python(**settings: Any) -> PreTrainedTokenizerBase:
    """Without a backend of the `tokenizers` library."""
    return ByT5Tokenizer(**settings)


MAKERS: dict[str, Callable[..., PreTrainedTokenizerBase]] = {
    "byte_level": byte_level,
    "bare": bare,
    "special_last": special_last,
    "in_python": in_python,
}


def made_texts(count: int, seed: int) -> list[str]:
    """Texts of 0 to 60 words, many of them short, with some odd characters."""
    chance = random.Random(seed)
    words = [*NEUTRAL.split(), "naïve", "👩", "<pad>", "[SEP]"]
    return [" ".join(chance.choices(words, k=int(60 * chance.random() ** 3))) for _ in range(count)]


def _of_words(around: processors.PostProcessor | None, **settings: Any) -> PreTrainedTokenizerBase:
    vocabulary = {word: place for place, word in enumerate(dict.fromkeys([*SPECIALS, "a", "b", *NEUTRAL.split()]))}
    backend = Tokenizer(models.WordLevel(vocabulary, "<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if around is not None:
        backend.post_processor = around
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", **settings)
