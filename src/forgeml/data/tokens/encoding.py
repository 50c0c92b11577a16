"""Texts to token ids, once: not padded, not tensors, one flat array with offsets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from forgeml.data.cache import forget, kept
from forgeml.data.texts import in_chunks
from forgeml.data.tokens.files import IDS, TYPES, DamagedError, GrowingArray, finish, load
from forgeml.data.tokens.pieces import MOST_WINDOWS, Choice, Pieces, assemble, choose
from forgeml.data.tokens.tokenizing import Template, describe, learn_template, tokenize
from forgeml.errors import ConfigError
from forgeml.records import Cut, EncodedTexts, Texts

if TYPE_CHECKING:
    from forgeml.data.tokens.tokenizing import AnyTokenizer

FORMAT = 2
"""Of the entries in the cache; to be raised with every change of what is read of a text or of how it is stored."""
CHARACTERS_AT_ONCE = 2_000_000
"""While they are at work on a text, tokenizers hold about a hundred bytes for each of its tokens."""

Listener = Callable[[int], None]


def encode(tokenizer: AnyTokenizer, texts: Texts, cut: Cut, on_progress: Listener = lambda done: None) -> EncodedTexts:
    """Token ids of each text with the model's special tokens, as much of it as the model reads.

    Threads may share the tokenizer.

    Args:
        tokenizer: of the model that will read the ids.
        texts: single texts, or pairs.
        cut: tokens that a piece may have, and what is read of a text that has more.
        on_progress: told the number of texts done so far.

    Raises:
        ConfigError: `max_length` leaves no room beside the special tokens.
        ModelError: the tokenizer does not set the same special tokens around all texts.
    """
    return Encoder.of(tokenizer, cut, texts.pairs).encode(texts, on_progress)


def encode_kept(
    tokenizer: AnyTokenizer,
    texts: Texts,
    cut: Cut,
    fingerprint: str,
    on_progress: Listener = lambda done: None,
) -> EncodedTexts:
    """What `encode` gives, kept on disk: arrays that are read from there as they are needed.

    Args:
        tokenizer: of the model that will read the ids.
        texts: single texts, or pairs.
        cut: tokens that a piece may have, and what is read of a text that has more.
        fingerprint: SHA-256 over the texts.
        on_progress: told the number of texts done so far; all of them at once if an earlier run has done the work.

    Raises:
        ConfigError: `max_length` leaves no room beside the special tokens.
        ModelError: the tokenizer does not set the same special tokens around all texts.
    """
    encoder = Encoder.of(tokenizer, cut, texts.pairs)
    key = [FORMAT, MOST_WINDOWS, fingerprint, len(texts), encoder.pairs, *describe(tokenizer), encoder.pad_id]
    key += [cut.max_length, cut.long_texts]
    built = False

    def build(folder: Path) -> None:
        nonlocal built
        _write(encoder, texts, folder, on_progress)
        built = True

    # Twice, as an entry that is damaged makes way for a new one.
    for _ in range(2):
        folder = kept("tokens", key, build)
        if folder is None:
            break
        with suppress(DamagedError):
            found = load(folder, len(texts))
            if not built:
                on_progress(len(texts))
            return found
        forget(folder)
    return encoder.encode(texts, on_progress)


@dataclass(frozen=True)
class _Rest:
    """What is known of the pieces besides their tokens."""

    offsets: NDArray[np.int64]
    bounds: NDArray[np.int64] | None
    lost: NDArray[np.bool_]


@dataclass(frozen=True)
class Encoder:
    """All that is settled before the first text is read. Threads may share one."""

    tokenizer: AnyTokenizer
    template: Template
    pairs: bool
    room: int
    long_texts: str
    pad_id: int

    @classmethod
    def of(cls, tokenizer: AnyTokenizer, cut: Cut, pairs: bool) -> Self:
        """Learn the special tokens, and what room they leave.

        Args:
            tokenizer: of the model that will read the ids.
            cut: tokens that a piece may have, and what is read of a text that has more.
            pairs: whether there will be second texts.

        Raises:
            ConfigError: `max_length` leaves no room beside the special tokens.
            ModelError: the tokenizer does not set the same special tokens around all texts.
        """
        template = learn_template(tokenizer, pairs)
        room, least = cut.max_length - template.specials, 1 + pairs
        if room < least:
            raise ConfigError.at(
                "model.max_length",
                f"{cut.max_length} tokens, of which {template.specials} are special ones",
                f"set model.max_length to {template.specials + least} or more",
            )
        pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
        return cls(tokenizer, template, pairs, room, cut.long_texts, pad_id)

    def encode(self, texts: Texts, on_progress: Listener = lambda done: None) -> EncodedTexts:
        """Token ids of each text, as `encode` gives them.

        Args:
            texts: single texts, or pairs, as it was settled.
            on_progress: told the number of texts done so far.
        """
        parts = [self.empty]
        rest = self.run(texts, parts.append, on_progress)
        ids = np.concatenate([part.ids for part in parts])
        typed = [part.types for part in parts if part.types is not None]
        types = np.concatenate(typed) if typed else None
        return EncodedTexts(ids, rest.offsets, self.pad_id, rest.lost, types, rest.bounds)

    @property
    def empty(self) -> Pieces:
        """No pieces."""
        types = np.zeros(0, np.uint8) if self.template.has_types else None
        return Pieces(np.zeros(0, np.int32), types, np.zeros(0, np.int64))

    def run(self, texts: Texts, keep: Callable[[Pieces], None], on_progress: Listener) -> _Rest:
        """Encode all texts, some at a time, and hand on their tokens."""
        lengths = [np.zeros(0, np.int64)]
        counts = [np.zeros(0, np.int64)]
        lost = [np.zeros(0, bool)]
        done = 0
        for chunk in in_chunks(texts):
            for first, second in _portions(*chunk):
                pieces, choice = self._encode(first, second)
                keep(pieces)
                lengths.append(pieces.lengths)
                counts.append(choice.counts)
                lost.append(choice.lost)
                done += len(first)
                on_progress(done)
        every_count = np.concatenate(counts)
        bounds = _offsets(every_count) if (every_count > 1).any() else None
        return _Rest(_offsets(np.concatenate(lengths)), bounds, np.concatenate(lost))

    def _encode(self, first: list[str], second: list[str] | None) -> tuple[Pieces, Choice]:
        ids, sizes = tokenize(self.tokenizer, first if second is None else first + second)
        parts = [slice(None)] if second is None else [slice(len(first)), slice(len(first), None)]
        lengths = tuple(sizes[part] for part in parts)
        bare = tuple(np.split(ids, np.cumsum([size.sum() for size in lengths])[:-1]))
        choice = choose(lengths, self.room, self.long_texts, self.tokenizer.truncation_side == "left")
        return assemble(self.template, bare, lengths, choice, self.pad_id), choice


def _portions(first: list[str], second: list[str] | None) -> Iterator[tuple[list[str], list[str] | None]]:
    """The texts, or where they are long some of them at a time."""
    if len(first) == 1 or sum(map(len, first)) + sum(map(len, second or ())) <= CHARACTERS_AT_ONCE:
        yield first, second
        return
    middle = len(first) // 2
    yield from _portions(first[:middle], second and second[:middle])
    yield from _portions(first[middle:], second and second[middle:])


def _write(encoder: Encoder, texts: Texts, folder: Path, on_progress: Listener) -> None:
    with ExitStack() as files:
        ids = files.enter_context(GrowingArray(folder / IDS, np.int32))
        types = files.enter_context(GrowingArray(folder / TYPES, np.uint8)) if encoder.template.has_types else None

        def keep(pieces: Pieces) -> None:
            ids.add(pieces.ids)
            if types is not None and pieces.types is not None:
                types.add(pieces.types)

        rest = encoder.run(texts, keep, on_progress)
    finish(folder, rest.offsets, rest.lost, rest.bounds, encoder.pad_id)


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), lengths.cumsum()])
