"""Parquet in and out."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forgeml.errors import DataError
from forgeml.inference.files import chunks, parquet
from scored_files import read, score, write

TABLE = pa.table(
    {
        "text": pa.array(["good", None, "bad"], pa.string()),
        "small": pa.array([1, None, 3], pa.int8()),
        "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
        "when": pa.array([1, 2, None], pa.timestamp("ns", "UTC")),
        "day": pa.array([1, 2, 3], pa.date32()),
        "price": pa.array([Decimal("1.50"), None, Decimal("2.25")], pa.decimal128(10, 2)),
        "raw": pa.array([b"\xff", b"a", None]),
        "tags": pa.array([["a"], [], None], pa.large_list(pa.string())),
        "map": pa.array([{"a": 1}, None, {"a": None}], pa.struct([("a", pa.int16())])),
        "share": pa.array([float("nan"), float("inf"), 0.5]),
    }
)


def test_types_are_kept_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns that pass from Parquet to Parquet keep type, values and what is said of them."""
    monkeypatch.setattr(parquet, "ROWS_AT_ONCE", 2)
    schema = TABLE.schema.with_metadata({"said": "of the table"})
    pq.write_table(TABLE.cast(schema), tmp_path / "in.parquet", row_group_size=2)
    score("in.parquet", "out.parquet")
    before, after = pq.read_table(tmp_path / "in.parquet"), pq.read_table(tmp_path / "out.parquet")
    assert after.schema.names == [*TABLE.column_names, "label", "score"]
    for name in TABLE.column_names:
        assert after.schema.field(name).equals(before.schema.field(name)), name
        assert str(after.column(name).to_pylist()) == str(before.column(name).to_pylist()), name
    assert after.schema.metadata[b"said"] == b"of the table"
    assert after.schema.field("score").type == pa.float64()


def test_values_in_words_of_json(tmp_path: Path) -> None:
    """Times and decimals as they print, bytes as text or in base 64, numbers that are none as null."""
    pq.write_table(TABLE, tmp_path / "in.parquet")
    score("in.parquet", "out.jsonl")
    first, second, third = read(tmp_path / "out.jsonl")
    assert first["when"] == "1970-01-01 00:00:00.000000001Z"
    assert (first["day"], first["price"], first["raw"]) == (str(datetime.date(1970, 1, 2)), "1.50", "/w==")
    assert (first["kind"], first["small"], first["tags"], first["map"]) == ("x", 1, ["a"], {"a": 1})
    assert [row["share"] for row in (first, second, third)] == [None, None, 0.5]
    assert (second["raw"], second["tags"], third["tags"]) == ("a", [], None)


def _through(tmp_path: Path, *values: Any) -> pa.ChunkedArray:
    """A column of JSON after it became Parquet."""
    write(tmp_path / "in.jsonl", [{"text": "x", "a": value} for value in values])
    score("in.jsonl", "out.parquet")
    return pq.read_table(tmp_path / "out.parquet").column("a")


COLUMNS: list[tuple[list[Any], pa.DataType, list[Any]]] = [
    (["x", None], pa.large_string(), ["x", None]),
    ([1, 2], pa.int64(), [1, 2]),
    ([None, 1, 2.5], pa.float64(), [None, 1.0, 2.5]),
    ([2.5, None, 1], pa.float64(), [2.5, None, 1.0]),
    ([None, None, True], pa.bool_(), [None, None, True]),
    ([None, None], pa.large_string(), [None, None]),
    ([[], ["a", None], []], pa.list_(pa.large_string()), [[], ["a", None], []]),
    ([[1], [0.5, 2], []], pa.list_(pa.float64()), [[1.0], [0.5, 2.0], []]),
    ([[], None], pa.list_(pa.large_string()), [[], None]),
    ([{"a": [1]}, None, {"b": "é"}], pa.large_string(), ['{"a": [1]}', None, '{"b": "é"}']),
    ([[], None, [{"a": 1}], []], pa.large_string(), ["[]", None, '[{"a": 1}]', "[]"]),
]


@pytest.mark.parametrize("rows", [1, 1024])
@pytest.mark.parametrize(("values", "kind", "expected"), COLUMNS)
def test_columns_of_json(
    values: list[Any],
    kind: pa.DataType,
    expected: list[Any],
    rows: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each gets the type that holds all its values, whether they are seen together or one after another."""
    monkeypatch.setattr(chunks, "ROWS_AT_ONCE", rows)
    column = _through(tmp_path, *values)
    assert column.type == kind
    assert column.to_pylist() == expected


MIXED: list[tuple[list[Any], str]] = [
    (["x", 1], "'a' holds a value of the kind whole number, and before it there are those of the kind text"),
    ([True, 1], "of the kind true/false"),
    ([[1], ["x"]], "of the kind list of whole numbers"),
    ([1, {"x": 1}], "a value of the kind nested"),
]


@pytest.mark.parametrize(("values", "said"), MIXED)
def test_values_of_several_kinds_are_refused(values: list[Any], said: str, tmp_path: Path) -> None:
    """With the row, and with the kind of file that keeps both."""
    with pytest.raises(DataError, match=r"in.jsonl:2 \(row 2\).*\n  fix: write JSON Lines") as raised:
        _through(tmp_path, *values)
    assert said in str(raised.value)


@pytest.mark.parametrize("value", [2**70, "\ud83d"])
def test_values_that_no_column_holds_are_refused(value: object, tmp_path: Path) -> None:
    """Numbers of more than 64 bits and half characters."""
    with pytest.raises(DataError, match="too large, or half a character"):
        _through(tmp_path, value)


def test_row_groups_are_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the chunks are, so that other programs read the file fast."""
    monkeypatch.setattr(chunks, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(parquet, "ROWS_IN_GROUP", 100)
    write(tmp_path / "in.csv", [{"text": str(number)} for number in range(250)])
    score("in.csv", "out.parquet")
    file = pq.ParquetFile(tmp_path / "out.parquet")
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [100, 100, 50]


def test_numbers_are_no_texts(tmp_path: Path) -> None:
    """A column of numbers is refused as the text, with its row."""
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"in.parquet row 1: 'text' holds 1, which is no text"):
        score("in.parquet", "out.parquet")


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """Which of them is meant cannot be told."""
    pq.write_table(pa.table([["x"], ["y"]], names=["text", "text"]), tmp_path / "in.parquet")
    with pytest.raises(DataError, match="columns of the same name: 'text'"):
        score("in.parquet", "out.csv")
