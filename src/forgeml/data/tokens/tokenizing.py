"""A tokenizer taken apart: the bare token ids of texts, and the special tokens that it sets around them."""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from forgeml.data.tokens.bare import BareTokenizer
from forgeml.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

    AnyTokenizer = PreTrainedTokenizerBase | BareTokenizer

PROBES = ("a", "b")
"""Two texts from which the special tokens around all other texts are learnt."""


@dataclass(frozen=True)
class Template:
    """The special tokens around a text, or around the two texts of a pair and between them."""

    around: tuple[tuple[int, ...], ...]
    """Ids before the first text, after it, and for pairs after the second."""
    around_types: tuple[tuple[int, ...], ...]
    """Token types of those."""
    text_types: tuple[int, ...]
    """Token type of each text's tokens."""

    @property
    def specials(self) -> int:
        """Tokens that a piece has besides those of the texts."""
        return sum(map(len, self.around))

    @property
    def has_types(self) -> bool:
        """Whether the tokens are of more than the type 0."""
        return any(self.text_types) or any(map(any, self.around_types))


_copies: WeakKeyDictionary[AnyTokenizer, tuple[object, Tokenizer]] = WeakKeyDictionary()
_copying = threading.Lock()


def tokenize(tokenizer: AnyTokenizer, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Token ids of texts without special tokens, uncut.

    Threads may share a tokenizer of the `tokenizers` library: nothing of it is changed.

    Returns:
        The ids of all texts end to end, shape (tokens,), and the number of tokens of each, shape (texts,).
    """
    backend = _backend(tokenizer)
    if backend is None:
        settings: dict[str, Any] = {"add_special_tokens": False, "verbose": False}
        # An empty list is not a batch to every tokenizer.
        ids: list[list[int]] = _in_python(tokenizer)(list(texts), **settings)["input_ids"] if texts else []
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        return np.fromiter(chain.from_iterable(ids), np.int32, lengths.sum()), lengths
    encoded = backend.encode_batch_fast(texts, add_special_tokens=False)
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    # One text's ids at a time: Python's numbers are eight times as large as those of the array.
    return np.fromiter(chain.from_iterable(one.ids for one in encoded), np.int32, lengths.sum()), lengths


def learn_template(tokenizer: AnyTokenizer, pairs: bool) -> Template:
    """The special tokens that the tokenizer sets around single texts, or around pairs.

    Raises:
        ModelError: it does something else than to set the same tokens around all texts.
    """
    probes = PROBES[: 1 + pairs]
    ids, types = _with_specials(tokenizer, probes)
    if not takes_types(tokenizer):
        types = [0] * len(ids)
    bare, lengths = tokenize(tokenizer, probes)
    edges = [0]
    for part in np.split(bare, lengths.cumsum()[:-1]):
        start = _find(ids, part.tolist(), edges[-1])
        stop = start + len(part)
        if start < 0 or len(set(types[start:stop])) > 1:
            raise ModelError.at(
                "model.name",
                f"its tokenizer ({type(tokenizer).__name__}) does not set the same special tokens around all texts",
                "choose another model",
            )
        edges += [start, stop]
    gaps = [slice(*edge) for edge in zip(edges[::2], [*edges[1::2], len(ids)], strict=True)]
    return Template(
        tuple(tuple(ids[gap]) for gap in gaps),
        tuple(tuple(types[gap]) for gap in gaps),
        tuple(types[start] for start in edges[1::2]),
    )


def describe(tokenizer: AnyTokenizer) -> list[Any]:
    """All of a tokenizer that its ids depend on, as JSON takes it; the vocabulary as a SHA-256."""
    backend = _backend(tokenizer)
    if backend is None:
        own = _in_python(tokenizer)
        content = json.dumps([own.get_vocab(), own.init_kwargs], sort_keys=True, default=str)
    else:
        content = backend.to_str()
    return [
        type(tokenizer).__name__,
        importlib.metadata.version("tokenizers"),
        hashlib.sha256(content.encode()).hexdigest(),
        tokenizer.truncation_side,
        bool(tokenizer.split_special_tokens),
        takes_types(tokenizer),
        tokenizer.pad_token_id,
        tokenizer.eos_token_id,
    ]


def facts_of(tokenizer: AnyTokenizer) -> dict[str, Any]:
    """What a `BareTokenizer` needs besides its file, as JSON takes it."""
    return {
        "pad_token_id": tokenizer.pad_token_id,
        "truncation_side": tokenizer.truncation_side,
        "split_special_tokens": bool(tokenizer.split_special_tokens),
        "model_input_names": list(tokenizer.model_input_names),
    }


def serialized(tokenizer: AnyTokenizer) -> str | None:
    """A `tokenizer.json` that gives the ids of this tokenizer; None for one that is written in Python."""
    backend = _backend(tokenizer)
    return None if backend is None else backend.to_str(pretty=True)


def takes_types(tokenizer: AnyTokenizer) -> bool:
    """Whether the model of this tokenizer takes token types."""
    return "token_type_ids" in tokenizer.model_input_names


def _backend(tokenizer: AnyTokenizer) -> Tokenizer | None:
    """A copy of the tokenizer's backend that neither cuts nor pads; None for one that is written in Python.

    How to cut and pad is a state of the backend, which other calls change as they go. A copy takes as long as it takes
    to open the tokenizer, so it is made once.
    """
    if isinstance(tokenizer, BareTokenizer):
        return tokenizer.backend
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    around = backend.post_processor
    state = (len(tokenizer), around and around.__getstate__(), bool(tokenizer.split_special_tokens))
    with _copying:
        known, own = _copies.get(tokenizer, (None, None))
        if own is None or known != state:
            own = copy.deepcopy(backend)
            own.no_truncation()
            own.no_padding()
            own.encode_special_tokens = bool(tokenizer.split_special_tokens)
            _copies[tokenizer] = (state, own)
    return own


def _in_python(tokenizer: AnyTokenizer) -> PreTrainedTokenizerBase:
    return cast("PreTrainedTokenizerBase", tokenizer)


def _with_specials(tokenizer: AnyTokenizer, texts: Sequence[str]) -> tuple[list[int], list[int]]:
    """Ids and types of one text or pair."""
    backend = _backend(tokenizer)
    if backend is not None:
        encoded = backend.encode(texts[0], texts[1] if len(texts) > 1 else None)
        return encoded.ids, encoded.type_ids
    called = _in_python(tokenizer)(*texts, return_token_type_ids=True)
    return called["input_ids"], called["token_type_ids"]


def _find(ids: list[int], part: list[int], start: int) -> int:
    """Where the part stands in the ids, from `start` on; -1 if it does not."""
    for place in range(start, len(ids) - len(part) + 1):
        if part and ids[place : place + len(part)] == part:
            return place
    return -1
