"""Texts as strings, some at a time: the columns themselves stay in Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from forgeml.records import Texts

JOINT = "\n"
"""Between the columns that make up one text."""
TEXTS_AT_ONCE = 1000


def from_lists(texts: Sequence[str], pairs: Sequence[str] | None = None) -> Texts:
    """Texts that are strings already, and the second texts of pairs."""
    return Texts((_column(texts),), None if pairs is None else _column(pairs), np.arange(len(texts)))


def read(texts: Texts, start: int, stop: int) -> tuple[list[str], list[str] | None]:
    """Texts number `start` to `stop - 1`, and the second texts of pairs; what is missing is an empty text."""
    rows = texts.rows[start:stop]
    parts = [_taken(column, rows) for column in texts.columns]
    joined = parts[0] if len(parts) == 1 else [JOINT.join(row) for row in zip(*parts, strict=True)]
    return joined, None if texts.pair_column is None else _taken(texts.pair_column, rows)


def in_chunks(texts: Texts) -> Iterator[tuple[list[str], list[str] | None]]:
    """All texts, a thousand at a time."""
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        yield read(texts, start, start + TEXTS_AT_ONCE)


def _column(texts: Sequence[str]) -> pa.ChunkedArray:
    # By hand, as Arrow's own way from a list loads pandas; offsets of 32 bits end at 2 GB of text.
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    buffers = (pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))
    return pa.chunked_array([pa.LargeStringArray.from_buffers(len(encoded), *buffers)])


def _taken(column: pa.ChunkedArray, rows: np.ndarray) -> list[str]:
    if not len(rows):
        return []
    found: list[str] = []
    start = first = int(rows[0])
    # A slice costs nothing. Taking goes chunk by chunk, as a column of several chunks is copied whole for it.
    for chunk in column.slice(first, int(rows[-1]) - first + 1).chunks:
        here = rows[slice(*np.searchsorted(rows, [start, start + len(chunk)]))] - start
        start += len(chunk)
        if len(here):
            found += _strings(chunk if len(here) == len(chunk) else chunk.take(pa.array(here)))
    return found


def _strings(array: pa.Array) -> list[str]:
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    return [text or "" for text in array.to_pylist()]
