"""Rows of JSON files."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from forgeml.data import json_rows
from forgeml.data.files import read_file
from forgeml.errors import DataError, Problem

PLACE = Path("data.jsonl")


def _records(text: str) -> list[json_rows.Record]:
    return list(json_rows.read_records(PLACE, io.StringIO(text, newline="")))


def _table(*chunks: list[Any]) -> pa.Table:
    """A table of rows in chunks, the lines counted on from 1."""
    before, numbered = 0, []
    for rows in chunks:
        numbered.append((range(before + 1, before + len(rows) + 1), rows))
        before += len(rows)
    return json_rows.as_table(PLACE, numbered)


def _reason(table: pa.Table, name: str) -> str:
    reason: bytes = (table.field(name).metadata or {}).get(json_rows.UNUSABLE, b"")
    return reason.decode()


def test_rows_come_with_their_line() -> None:
    """Blank lines are passed over and counted."""
    assert _records('{"a": 1}\n\n  \r\n{"a": "\\u00e9"}') == [(1, {"a": 1}), (4, {"a": "é"})]


BROKEN = {
    "text": "not JSON: Expecting value (column 1)",
    '{"a": 1,}': "not JSON",
    '{"a": NaN}': "not JSON: NaN",
    '{"a": -Infinity}': "not JSON: -Infinity",
    '{"a": "tab\0"}': "not JSON",
    '{"a": ' + "9" * 5000 + "}": "too many digits",
    "[" * 200_000: "nested too deeply",
    '[{"a": 1}]': "a JSON list, not an object",
    "null": "a JSON null, not an object",
    "{}": "an empty object",
}


@pytest.mark.parametrize("line", BROKEN, ids=lambda line: line[:12])
def test_line_that_is_no_object_is_a_problem(line: str) -> None:
    """Whatever the decoder raises becomes a problem with the line, and reading goes on."""
    first, second, third = _records(f'{{"a": 1}}\n{line}\n{{"a": 2}}\n')
    assert isinstance(second, Problem)
    assert second.where == "data.jsonl:2"
    assert BROKEN[line] in second.what
    assert (first, third) == ((1, {"a": 1}), (3, {"a": 2}))


def test_values_keep_their_kind_across_chunks() -> None:
    """Texts stay as written, whole and other numbers join, keys may come late or be missing."""
    table = _table([{"t": "007", "n": 1}, {"t": "NA"}], [{"t": "\n\0", "n": 2.5, "b": True}])
    assert table.to_pydict() == {"t": ["007", "NA", "\n\0"], "n": [1.0, None, 2.5], "b": [None, None, True]}
    assert table.schema.field("t").type == pa.large_string()


UNUSABLE: dict[str, list[list[Any]]] = {
    "values of several kinds: number in line 1, text in line 3": [[1, None], ["x"]],
    "values of several kinds: true/false in line 2, number in line 3": [[None, True], [1]],
    "values of several kinds: number in line 1, list in line 2": [[0.5, [1]]],
    "several values in one: list in line 2": [[None, ["x"]]],
    "several values in one: map in line 1": [[{"x": {"y": 1}}], [{"z": 2}]],
    "half a character (a lone surrogate, \\ud800 to \\udfff) in line 2": [["x", "\ud800"], ["y"]],
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
        _table([{f"key {number}": 1} for number in range(json_rows.MOST_COLUMNS + 1)])


def test_key_with_half_a_character_is_refused() -> None:
    """A key that is no text cannot name a column."""
    with pytest.raises(DataError, match="half a character"):
        _table([json.loads('{"\\ud800": 1}')])


def test_no_rows_give_an_empty_table() -> None:
    """Without rows there are no columns either."""
    assert len(_table()) == 0


@pytest.mark.parametrize("ending", [".json", ".json.gz"])
def test_array_reads_as_lines_do(ending: str, tmp_path: Path) -> None:
    """One array of objects, on however many lines, gives the table that one object a line gives."""
    rows = [{"text": "good\nfilm", "label": 1}, {"text": "bad, [1]", "label": 0}]
    array, lines = tmp_path / f"array{ending}", tmp_path / "lines.jsonl"
    content = json.dumps(rows, indent=2).encode()
    array.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_file(array).equals(read_file(lines))


def test_json_file_may_hold_lines(tmp_path: Path) -> None:
    """A file called .json with one object a line is read as that."""
    (tmp_path / "a.json").write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n')
    assert read_file(tmp_path / "a.json").column("text").to_pylist() == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('[{"text": "a"}, 7]', "item 2: a JSON number, not an object"),
        ('[{"text": "a"},\n {"text": }]', "not JSON: Expecting value (line 2, column 11)"),
        ('[{"text": NaN}]', "not JSON: NaN is no number there"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "no rows"),
    ],
)
def test_array_that_cannot_be_rows(content: str, says: str, tmp_path: Path) -> None:
    """What is wrong in an array is told with its place in it."""
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError) as caught:
        read_file(tmp_path / "a.json")
    assert says in str(caught.value)
