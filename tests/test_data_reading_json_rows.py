"""Rows of JSON files."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from forgeml.data.reading import json_rows
from forgeml.errors import DataError, Problem

PLACE = Path("data.jsonl")
ROWS = [{"text": "good\nfilm", "label": 1}, {"text": "bad, [1] 😀", "label": 0}]
ITEMS = [(0, row) for row in ROWS]


def _records(text: str) -> list[json_rows.Record]:
    return list(json_rows.read_records(PLACE, io.StringIO(text, newline="")))


def _array(text: str, field: str | None = None) -> list[json_rows.Record]:
    return list(json_rows.read_array(PLACE, io.StringIO(text, newline=""), field))


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
    '{"a": 1, "b": 2, "a": 3}': "the key 'a' stands there twice",
    '{"a": {"b": 1, "b": 2}}': "the key 'b' stands there twice",
}


@pytest.mark.parametrize("line", BROKEN, ids=lambda line: line[:12])
def test_line_that_is_no_object_is_a_problem(line: str) -> None:
    """Whatever the decoder raises becomes a problem with the line, and reading goes on."""
    first, second, third = _records(f'{{"a": 1}}\n{line}\n{{"a": 2}}\n')
    assert isinstance(second, Problem)
    assert second.where == "data.jsonl:2"
    assert BROKEN[line] in second.what
    assert (first, third) == ((1, {"a": 1}), (3, {"a": 2}))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("block", [1, 7, 2**20])
def test_array_gives_its_items(indent: int | None, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One array of objects, on however many lines and read in whatever pieces, gives its objects."""
    monkeypatch.setattr(json_rows, "BLOCK", block)
    assert _array(json.dumps(ROWS, indent=indent)) == ITEMS
    assert _array(f" \n{json.dumps(ROWS, ensure_ascii=False)}\n\n") == ITEMS
    assert _array("[]") == []


@pytest.mark.parametrize("block", [1, 2**20])
def test_array_under_a_key_is_found(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the key named, what stands before and behind the array is passed over."""
    monkeypatch.setattr(json_rows, "BLOCK", block)
    content = json.dumps({"version": [1, {"data": 2}], "n": 12, "data": ROWS, "more": 1}, indent=1)
    assert _array(content, "data") == ITEMS


FIELDS = {
    '{"data": [], "meta": 1}': ("dta", "no key 'dta' in data.jsonl; it has 'data', 'meta'", "did you mean data?"),
    '{"data": 7}': ("data", "is no array", "name the key"),
    '[{"data": 7}]': ("data", "is not one object", "leave it out"),
    "{}": ("rows", "it has none", "set it to"),
}


@pytest.mark.parametrize("text", FIELDS)
def test_key_that_does_not_hold_rows_is_refused(text: str) -> None:
    """The setting is named, with the keys that there are."""
    field, what, fix = FIELDS[text]
    with pytest.raises(DataError) as raised:
        _array(text, field)
    [problem] = raised.value.problems
    assert problem.where == "data.field"
    assert what in problem.what
    assert fix in problem.fix


@pytest.mark.parametrize("longest", [2**27, 100])
def test_object_that_holds_its_rows_under_a_key_is_refused(longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One object with a list of objects is no row; the setting that finds the list is named, however long it is."""
    monkeypatch.setattr(json_rows, "LONGEST", longest)
    with pytest.raises(DataError, match=r"one object with a list under 'data'") as raised:
        _array(json.dumps({"version": 1, "data": ROWS * 10}, indent=1))
    assert raised.value.problems[0].fix == "set data.field: data"


def test_json_file_may_hold_lines() -> None:
    """Objects one a line are read as that, even a single one with a list of labels in it."""
    assert _array('{"text": "a"}\n\n{"text": "b"}\n') == [(1, {"text": "a"}), (3, {"text": "b"})]
    assert _array('{"text": "a", "labels": ["x", "y"]}') == [(1, {"text": "a", "labels": ["x", "y"]})]


def test_item_that_is_no_object_is_a_problem() -> None:
    """It is named by its place in the array, and the items behind it are read."""
    first, second, third = _array('[{"a": 1}, 7, {"a": 2}]')
    assert (first, third) == ((0, {"a": 1}), (0, {"a": 2}))
    assert isinstance(second, Problem)
    assert (second.where, second.what) == ("data.jsonl item 2", "a JSON number, not an object")


ARRAYS = {
    '[{"text": "a"},\n {"text": }]': "data.jsonl:2: not JSON: Expecting value (line 2, column 11)",
    '[{"text": NaN}]': "data.jsonl:1: not JSON: NaN is no number there",
    '[\n{"a": 1, "a": 2}]': "data.jsonl:2: the key 'a' stands there twice",
    '[{"a": 1}': "data.jsonl:1: not JSON: Expecting ']' (line 1, column 10)",
    '[{"a": 1},]': "data.jsonl:1: not JSON: Expecting value",
    '[{"a": "open}]': "Unterminated string",
    '[{"a": 1}] [': "something stands behind the array",
    "[" * 100_000: "nested too deeply",
}


@pytest.mark.parametrize("block", [1, 2**20])
@pytest.mark.parametrize("text", ARRAYS, ids=lambda text: text[:12])
def test_array_that_is_broken_is_refused_with_its_place(text: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line and column are those of the file, in whatever pieces it was read."""
    monkeypatch.setattr(json_rows, "BLOCK", block)
    with pytest.raises(DataError) as raised:
        _array(text)
    assert ARRAYS[text] in str(raised.value)


def test_item_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a bound an item is refused by its size."""
    monkeypatch.setattr(json_rows, "BLOCK", 10)
    monkeypatch.setattr(json_rows, "LONGEST", 1000)
    with pytest.raises(DataError, match="a value of more than 1,000 characters"):
        _array('[{"text": "' + "x" * 5000 + '"}]')
