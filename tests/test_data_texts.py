"""Texts out of Arrow columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest

from forgeml.data import texts
from forgeml.data.texts import in_chunks, read
from forgeml.records import ColumnTexts
from tiny import listed

WORDS = ["a", "", "naïve 👩", None, "two\nlines", "a", "last"]
TYPES = [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]


def _column(type: pa.DataType, sizes: tuple[int, ...]) -> pa.ChunkedArray:
    """WORDS in chunks of these sizes."""
    ends = np.cumsum(sizes)
    parts = [WORDS[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    if pa.types.is_dictionary(type):
        return pa.chunked_array([pa.array(part, type.value_type).dictionary_encode() for part in parts], type)
    return pa.chunked_array([pa.array(part, type) for part in parts], type)


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5, 6], [1, 3, 6], [2], [4, 5], [0, 6], []], ids=str)
@pytest.mark.parametrize("sizes", [(7,), (3, 4), (1, 0, 2, 1, 3)], ids=str)
@pytest.mark.parametrize("type", TYPES, ids=str)
def test_rows_are_read_from_any_column_of_text(type: pa.DataType, sizes: tuple[int, ...], rows: list[int]) -> None:
    """The rows come in order, whatever the type and the chunks of the column; a missing text is an empty one."""
    chosen = ColumnTexts((_column(type, sizes),), None, np.array(rows, np.int64))
    assert read(chosen, 0, len(rows)) == ([WORDS[row] or "" for row in rows], None)
    assert read(chosen, 1, 2) == ([WORDS[row] or "" for row in rows[1:2]], None)


def test_columns_without_any_text_are_read_as_empty() -> None:
    """A column of nothing but nulls gives empty texts."""
    nothing = pa.chunked_array([pa.nulls(3), pa.nulls(2)])
    assert read(ColumnTexts((nothing,), nothing, np.array([0, 4])), 0, 2) == (["", ""], ["", ""])


def test_columns_are_joined_and_pairs_kept_apart() -> None:
    """Several columns make one text with a line break between them; the second text of a pair stays alone."""
    column, other = _column(pa.string(), (3, 4)), _column(pa.large_string(), (7,))
    chosen = ColumnTexts((column, other), other, np.array([0, 3, 6]))
    assert read(chosen, 0, 3) == (["a\na", "\n", "last\nlast"], ["a", "", "last"])


def test_chunks_are_all_texts_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are read at once, each text comes once."""
    monkeypatch.setattr(texts, "TEXTS_AT_ONCE", 2)
    found = list(in_chunks(listed(["a", "b", "c"], ["x", "y", "z"])))
    assert found == [(["a", "b"], ["x", "y"]), (["c"], ["z"])]
    assert list(in_chunks(listed([]))) == []


@pytest.mark.parametrize("choose", [lambda rows: rows[::3], lambda rows: rows[::997]], ids=["dense", "sparse"])
def test_reading_copies_no_more_than_what_is_read(choose: Callable[[np.ndarray], np.ndarray], tmp_path: Path) -> None:
    """A pass over a file of 20 MB in memory map takes less than 1 MB of Arrow's memory."""
    table = pa.table({"text": [f"{number:0200}" for number in range(100_000)]})
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=1000)
    del table
    column = pa.ipc.open_file(pa.memory_map(str(tmp_path / "t.arrow"))).read_all()["text"]
    rows = choose(np.arange(100_000))
    usual, counted = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(counted)
    try:
        found = [words[0] for words, _ in in_chunks(ColumnTexts((column,), None, rows))]
    finally:
        pa.set_memory_pool(usual)
    assert found == [f"{row:0200}" for row in rows[:: texts.TEXTS_AT_ONCE]]
    assert 0 < counted.max_memory() < 2**20
