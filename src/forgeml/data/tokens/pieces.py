"""Which tokens of a text a model reads, and the pieces that they make up. All sizes are in tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forgeml.data.tokens.tokenizing import Template

HEAD, HEAD_AND_TAIL = 128, 510
"""How many tokens of how many are the head of a text, in Sun et al. (2019)."""
OVERLAP = 4
"""A window shares one token of so many with the one before it."""
MOST_WINDOWS = 16
"""Windows of one text; what is beyond the last one is not read."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Spans:
    """What the pieces hold of one part of the texts, or of the first or the second text of the pairs."""

    starts: Ints
    """Counted from the text's first token, shape (pieces, spans)."""
    lengths: Ints
    """Shape (pieces, spans)."""


@dataclass(frozen=True)
class Choice:
    """Which tokens of some texts are read, and in which pieces."""

    parts: tuple[Spans, ...]
    """One for single texts, two for pairs."""
    counts: Ints
    """Pieces of each text, shape (texts,)."""
    lost: NDArray[np.bool_]
    """Whether something of a text is not read, shape (texts,)."""

    @property
    def owners(self) -> Ints:
        """Text of each piece, shape (pieces,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


@dataclass(frozen=True)
class Pieces:
    """Pieces of some texts with their special tokens, end to end."""

    ids: NDArray[np.int32]
    """Shape (tokens,)."""
    types: NDArray[np.uint8] | None
    """Token types, shape (tokens,); None where all are 0."""
    lengths: Ints
    """Shape (pieces,)."""


def choose(sizes: tuple[Ints, ...], room: int, long_texts: str, last: bool) -> Choice:
    """What is read of texts that are longer than the room for them.

    Args:
        sizes: tokens of each text, shape (texts,); for pairs those of the first and those of the second texts.
        room: tokens of the texts that fit into a piece.
        long_texts: `truncate` keeps the first tokens, and of pairs as much of both as fits evenly.
            `head_tail` keeps of the same number of tokens some from the beginning and the rest from the end, as in Sun
            et al., "How to Fine-Tune BERT for Text Classification?" (2019). `windows` reads the whole text in
            overlapping pieces; of a pair the longer text, with the shorter one in each piece.
        last: `truncate` keeps the last tokens instead of the first.
    """
    if long_texts == "windows":
        return _windows(sizes, room, last)
    rooms = share(sizes, room)
    lost = np.sum(sizes, axis=0) > np.sum(rooms, axis=0)
    keep = _ends if long_texts == "head_tail" else _last if last else _first
    parts = tuple(keep(size, own) for size, own in zip(sizes, rooms, strict=True))
    return Choice(parts, np.ones(len(lost), np.int64), lost)


def share(sizes: tuple[Ints, ...], room: int) -> tuple[Ints, ...]:
    """Tokens that are kept of each text; for pairs by the rule `longest_first` of the `tokenizers` library.

    Args:
        sizes: tokens of each text, shape (texts,); for pairs those of the first and those of the second texts.
        room: tokens that fit, of pairs both texts together.
    """
    if len(sizes) == 1:
        return (np.minimum(sizes[0], room),)
    first, second = sizes
    shorter = np.minimum(first, second)
    longer = np.maximum(shorter, room - shorter)
    halves = shorter + longer > room
    shorter = np.where(halves, room // 2, shorter)
    longer = np.where(halves, room - room // 2, longer)
    swapped = first > second
    return (
        np.minimum(first, np.where(swapped, longer, shorter)),
        np.minimum(second, np.where(swapped, shorter, longer)),
    )


def assemble(
    template: Template, texts: tuple[NDArray[np.int32], ...], sizes: tuple[Ints, ...], choice: Choice, filler: int
) -> Pieces:
    """The chosen tokens with the special tokens around them.

    Args:
        template: the special tokens.
        texts: token ids of all texts end to end, for pairs those of the first and those of the second texts.
        sizes: tokens of each text, shape (texts,), in the order of `texts`.
        choice: what is read.
        filler: the one token of a piece that would have none.
    """
    owners = choice.owners
    # All that can stand in a piece, and where in it each stretch of each piece begins.
    pool: list[NDArray[np.int32]] = []
    types: list[NDArray[np.uint8]] = []
    starts: list[Ints] = []
    lengths: list[Ints] = []

    def add(ids: NDArray[np.int32], type_ids: NDArray[np.uint8], spans: Spans) -> None:
        starts.append(spans.starts + sum(map(len, pool)))
        lengths.append(spans.lengths)
        pool.append(ids)
        types.append(type_ids)

    for number, (ids, type_ids) in enumerate(zip(template.around, template.around_types, strict=True)):
        add(np.array(ids, np.int32), np.array(type_ids, np.uint8), _same(len(owners), len(ids)))
        if number < len(texts):
            text, size, spans = texts[number], sizes[number], choice.parts[number]
            in_text = Spans(spans.starts + (size.cumsum() - size)[owners, None], spans.lengths)
            add(text, np.full(len(text), template.text_types[number], np.uint8), in_text)
    empty = np.hstack(lengths).sum(axis=1) == 0
    add(np.array([filler], np.int32), np.zeros(1, np.uint8), Spans(_same(len(owners), 0).starts, empty[:, None] * 1))
    every_length = np.hstack(lengths)
    places = _places(np.hstack(starts).ravel(), every_length.ravel())
    found = np.concatenate(types)[places] if template.has_types else None
    return Pieces(np.concatenate(pool)[places], found, every_length.sum(axis=1))


def _first(sizes: Ints, rooms: Ints) -> Spans:
    return Spans(np.zeros_like(sizes)[:, None], np.minimum(sizes, rooms)[:, None])


def _last(sizes: Ints, rooms: Ints) -> Spans:
    return Spans(np.maximum(sizes - rooms, 0)[:, None], np.minimum(sizes, rooms)[:, None])


def _ends(sizes: Ints, rooms: Ints) -> Spans:
    over = sizes > rooms
    head = np.where(over, np.rint(rooms * (HEAD / HEAD_AND_TAIL)).astype(np.int64), sizes)
    tail = np.where(over, rooms - head, 0)
    return Spans(np.stack([np.zeros_like(sizes), sizes - tail], axis=1), np.stack([head, tail], axis=1))


def _windows(sizes: tuple[Ints, ...], room: int, last: bool) -> Choice:
    if len(sizes) == 1:
        rooms = np.full_like(sizes[0], room)
        counts, lost = _count_windows(sizes[0], rooms)
        return Choice((_spread(sizes[0], rooms, counts),), counts, lost)
    shorter, longer = np.minimum(*sizes), np.maximum(*sizes)
    beside = np.minimum(shorter, room // 2)
    counts, lost = _count_windows(longer, room - beside)
    moving = _spread(longer, room - beside, counts)
    still = _repeated((_last if last else _first)(shorter, beside), counts)
    first_moves = np.repeat(sizes[0] > sizes[1], counts)[:, None]
    parts = tuple(
        Spans(np.where(moves, moving.starts, still.starts), np.where(moves, moving.lengths, still.lengths))
        for moves in (first_moves, ~first_moves)
    )
    return Choice(parts, counts, lost | (shorter > beside))


def _count_windows(sizes: Ints, rooms: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Pieces of each text, and whether they leave something out."""
    needed = 1 + np.maximum(0, -((rooms - sizes) // _steps(rooms)))
    return np.minimum(needed, MOST_WINDOWS), needed > MOST_WINDOWS


def _spread(sizes: Ints, rooms: Ints, counts: Ints) -> Spans:
    """Windows that begin at even steps; the one that reaches the end begins early enough to be full."""
    size, room = np.repeat(sizes, counts), np.repeat(rooms, counts)
    number = np.arange(len(size)) - np.repeat(counts.cumsum() - counts, counts)
    starts = np.clip(number * _steps(room), 0, np.maximum(0, size - room))
    return Spans(starts[:, None], np.minimum(size, room)[:, None])


def _steps(rooms: Ints) -> Ints:
    return rooms - rooms // OVERLAP


def _repeated(spans: Spans, counts: Ints) -> Spans:
    return Spans(np.repeat(spans.starts, counts, axis=0), np.repeat(spans.lengths, counts, axis=0))


def _same(pieces: int, length: int) -> Spans:
    return Spans(np.zeros((pieces, 1), np.int64), np.full((pieces, 1), length))


def _places(starts: Ints, lengths: Ints) -> Ints:
    """The numbers from each start on, as many as its length, one stretch after the other."""
    shifts = starts - (lengths.cumsum() - lengths)
    places: Ints = np.arange(lengths.sum()) + np.repeat(shifts, lengths)
    return places
