"""Columns of JSON objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from forgeml.data.reading import json_columns, stored
from forgeml.data.reading.json_rows import UNUSABLE as MARK
from forgeml.errors import DataError

PLACE = Path("data.jsonl")


def _table(*chunks: list[Any]) -> pa.Table:
    """A table of rows in chunks, the lines counted on from 1."""
    columns, before, tables = json_columns.Columns(PLACE), 0, []
    for rows in chunks:
        tables.append(columns.add(range(before + 1, before + len(rows) + 1), rows))
        before += len(rows)
    return stored.join(tables)


def _reason(table: pa.Table, name: str) -> str:
    reason: bytes = (table.field(name).metadata or {}).get(MARK, b"")
    return reason.decode()


def test_values_keep_their_kind_across_chunks() -> None:
    """Texts stay as written, whole and other numbers join, keys may come late or be missing."""
    table = _table([{"t": "007", "n": 1}, {"t": "NA"}], [{"t": "\n\0", "n": 2.5, "b": True}])
    assert table.to_pydict() == {"t": ["007", "NA", "\n\0"], "n": [1.0, None, 2.5], "b": [None, None, True]}
    assert table.schema.field("t").type == pa.large_string()


UNUSABLE: dict[str, list[list[Any]]] = {
    "values of several kinds: whole number in line 1, text in line 3": [[1, None], ["x"]],
    "values of several kinds: true/false in line 2, whole number in line 3": [[None, True], [1]],
    "values of several kinds: number in line 1, list of numbers in line 2": [[0.5, [1]]],
    "values of several kinds: list of texts in line 1, list of numbers in line 2": [[["x"]], [[1]]],
    "values of several kinds: text in line 1, whole number in line 2, map in line 3": [["x", 1], [{"y": 1}], [{}]],
    "a list of something else than texts or numbers: list in line 2": [[None, [0.5]]],
    "a list of something else than texts or numbers: list in line 1": [[["x", 1]], [[2.5]]],
    "several values in one: map in line 1": [[{"x": {"y": 1}}], [{"z": 2}]],
    "half a character (a lone surrogate, \\ud800 to \\udfff) in line 2": [["x", "\ud800"], ["y"]],
    "half a character (a lone surrogate, \\ud800 to \\udfff) in line 3": [[["x"], None], [["\ud800"]]],
    "a number that is too large, in line 1 to 1": [[10**30], [1]],
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_column_that_cannot_be_used_says_why(reason: str) -> None:
    """Such a column is all null with the reason in its field, and the columns beside it are whole."""
    table = _table(*[[{"odd": value, "good": "g"} for value in values] for values in UNUSABLE[reason]])
    assert _reason(table, "odd") == reason
    assert table["odd"].null_count == len(table)
    assert table["good"].to_pylist() == ["g"] * len(table)
    assert not _reason(table, "good")


def test_objects_without_common_keys_are_refused() -> None:
    """A file with ever new keys is refused before it fills the memory."""
    with pytest.raises(DataError, match="different keys"):
        _table([{f"key {number}": 1} for number in range(json_columns.MOST_COLUMNS + 1)])


def test_key_with_half_a_character_is_refused() -> None:
    """A key that is no text cannot name a column."""
    with pytest.raises(DataError, match="half a character"):
        _table([json.loads('{"\\ud800": 1}')])


LISTS: dict[str, tuple[list[list[Any]], pa.DataType]] = {
    "texts": ([[["a", "b"], None], [[], ["c"]]], pa.list_(pa.large_string())),
    "numbers": ([[[]], [[1, 2], None]], pa.list_(pa.int64())),
    "nothing": ([[[], None], [[]]], pa.list_(pa.large_string())),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_one_kind_are_values(name: str) -> None:
    """Lists of texts and of whole numbers are kept, empty and missing ones among them."""
    values, kind = LISTS[name]
    table = _table(*[[{"t": "x", "labels": value} for value in chunk] for chunk in values])
    assert table.schema.field("labels").type == kind
    assert table["labels"].to_pylist() == [value for chunk in values for value in chunk]


def test_items_are_called_so() -> None:
    """Rows of an array have no lines; the reason counts its items."""
    columns = json_columns.Columns(PLACE, "item")
    columns.add([1, 2], [{"a": 1}, {"a": "x"}])
    assert (
        columns.schema().field("a").metadata[MARK] == b"values of several kinds: whole number in item 1, text in item 2"
    )


def test_no_rows_give_an_empty_table() -> None:
    """Without rows there are no columns either."""
    assert len(_table()) == 0
