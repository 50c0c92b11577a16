"""Texts as strings, some at a time: columns stay in Arrow, which is not needed for texts that are lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forgeml.records import JOINT, ColumnTexts, ListedTexts, Texts

if TYPE_CHECKING:
    import pyarrow as pa

TEXTS_AT_ONCE = 1000


def read(texts: Texts, start: int, stop: int) -> tuple[list[str], list[str] | None]:
    """Texts number `start` to `stop - 1`, and the second texts of pairs; what is missing is an empty text."""
    if isinstance(texts, ListedTexts):
        seconds = texts.seconds
        return list(texts.firsts[start:stop]), None if seconds is None else list(seconds[start:stop])
    return _read_columns(texts, start, stop)


def in_chunks(texts: Texts) -> Iterator[tuple[list[str], list[str] | None]]:
    """All texts, a thousand at a time."""
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        yield read(texts, start, start + TEXTS_AT_ONCE)


def _read_columns(texts: ColumnTexts, start: int, stop: int) -> tuple[list[str], list[str] | None]:
    rows = texts.rows[start:stop]
    parts = [_taken(column, rows) for column in texts.columns]
    joined = parts[0] if len(parts) == 1 else [JOINT.join(row) for row in zip(*parts, strict=True)]
    return joined, None if texts.pair_column is None else _taken(texts.pair_column, rows)


def _taken(column: pa.ChunkedArray, rows: NDArray[np.int64]) -> list[str]:
    if not len(rows):
        return []
    found: list[str] = []
    start = first = int(rows[0])
    # A slice costs nothing. Taking goes chunk by chunk, as a column of several chunks is copied whole for it.
    for chunk in column.slice(first, int(rows[-1]) - first + 1).chunks:
        here = rows[slice(*np.searchsorted(rows, [start, start + len(chunk)]))] - start
        start += len(chunk)
        if len(here):
            found += _strings(chunk if len(here) == len(chunk) else chunk.take(here))
    return found


def _strings(array: pa.Array) -> list[str]:
    # A dictionary's values may repeat, and its entries may be null themselves.
    plain = array.dictionary_decode() if hasattr(array, "dictionary_decode") else array
    return [text or "" for text in plain.to_pylist()]
