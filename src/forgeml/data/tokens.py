"""Texts to token ids, once: not padded, not tensors, one flat array with offsets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forgeml.records import EncodedTexts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEXTS_AT_ONCE = 1000


def encode(
    tokenizer: PreTrainedTokenizerBase,
    texts: pa.ChunkedArray | Sequence[str],
    max_length: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> EncodedTexts:
    """Token ids of each text with the model's special tokens, cut at `max_length` tokens.

    Args:
        tokenizer: of the model that will read the ids.
        texts: strings, shape (texts,).
        max_length: longest result in tokens, special tokens counted.
        on_progress: told the number of texts done so far.
    """
    flat: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
    lengths: list[NDArray[np.int64]] = []
    truncated = 0
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        chunk = texts[start : start + TEXTS_AT_ONCE]
        words = chunk.to_pylist() if isinstance(chunk, pa.ChunkedArray) else list(chunk)
        encoded = tokenizer(
            words,
            truncation=True,
            max_length=max_length,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        ids = encoded["input_ids"]
        truncated += sum(bool(one.overflowing) for one in encoded.encodings or ())
        lengths.append(np.fromiter(map(len, ids), dtype=np.int64, count=len(ids)))
        flat.append(np.fromiter(chain.from_iterable(ids), dtype=np.int32, count=lengths[-1].sum()))
        on_progress(start + len(words))
    offsets = np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum()
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    return EncodedTexts(np.concatenate(flat), offsets, pad_id, truncated)
