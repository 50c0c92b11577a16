"""Texts to token ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from forgeml.data import tokens
from forgeml.data.tokens import encode

TEXTS = ["A good film.", "", "naïve 👩\u200d👩\u200d👧 שלום", "bad " * 50, "two\nlines", "x", "\0", "good " * 9, "dull"]
MAX_LENGTH = 12


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    """That of the tiny model."""
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tiny_model)
    return loaded


def _ids(tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """What the tokenizer itself says of each text on its own."""
    return [tokenizer(text, truncation=True, max_length=MAX_LENGTH)["input_ids"] for text in TEXTS]


FORMS = {
    "list": TEXTS,
    "tuple": tuple(TEXTS),
    "chunks": pa.chunked_array([TEXTS[:2], [], TEXTS[2:]], pa.large_string()),
    "slice": pa.chunked_array([["before", *TEXTS[:4]], [*TEXTS[4:], "after"]], pa.string()).slice(1, len(TEXTS)),
}


@pytest.mark.parametrize("at_once", [1, 2, 1000])
@pytest.mark.parametrize("form", FORMS)
def test_ids_are_those_of_the_tokenizer(
    form: str, at_once: int, tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the texts come and however many are encoded at once, each has the ids that it has alone."""
    monkeypatch.setattr(tokens, "TEXTS_AT_ONCE", at_once)
    encoded = encode(tokenizer, FORMS[form], MAX_LENGTH)
    assert len(encoded) == len(TEXTS)
    found = [
        encoded.ids[start:stop].tolist() for start, stop in zip(encoded.offsets, encoded.offsets[1:], strict=False)
    ]
    assert found == _ids(tokenizer)
    assert encoded.lengths.tolist() == list(map(len, found))
    assert (encoded.ids.dtype, encoded.offsets.dtype) == (np.int32, np.int64)
    assert encoded.pad_id == tokenizer.pad_token_id


def test_texts_that_are_cut_are_counted(tokenizer: PreTrainedTokenizerBase) -> None:
    """A text is counted when tokens are lost, and not when it fits exactly."""
    exact = "good " * (MAX_LENGTH - 2)
    encoded = encode(tokenizer, [exact, exact + "film", "film", exact * 9], MAX_LENGTH)
    assert encoded.truncated == 2
    assert encoded.lengths.tolist() == [MAX_LENGTH, MAX_LENGTH, 3, MAX_LENGTH]


@pytest.mark.parametrize("texts", [[], pa.chunked_array([], pa.large_string())], ids=["list", "column"])
def test_no_texts_are_no_tokens(texts: list[str] | pa.ChunkedArray, tokenizer: PreTrainedTokenizerBase) -> None:
    """Nothing in, nothing out."""
    encoded = encode(tokenizer, texts, MAX_LENGTH)
    assert (len(encoded), encoded.ids.tolist(), encoded.offsets.tolist(), encoded.truncated) == (0, [], [0], 0)


def test_progress_is_told_up_to_the_end(tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of texts done rises to all of them."""
    monkeypatch.setattr(tokens, "TEXTS_AT_ONCE", 4)
    told: list[int] = []
    encode(tokenizer, TEXTS, MAX_LENGTH, told.append)
    assert told == [4, 8, 9]
