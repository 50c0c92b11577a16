"""Rows with their answers as bytes."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from forgeml.errors import DataError
from forgeml.inference.files.chunks import PythonRows
from forgeml.inference.files.writing import Encoder, Layout, encoder_for, finisher_for

ADDED = {"label": "text", "score": "number"}


def _chunk(*rows: Mapping[str, Any]) -> PythonRows:
    places = list(range(1, len(rows) + 1))
    return PythonRows("in.jsonl", rows, places, places)


def _encoder(kind: str, *names: str, begun: bool = False, packed: bool = False, **layout: Any) -> Encoder:
    return encoder_for(kind, packed, Layout(names, ADDED, **layout), begun, {})


def _line(value: object, label: str = "pos", escape: bool = True) -> str:
    """What CSV makes of a row with one value."""
    encoder = _encoder(".csv", "a", begun=True, escape=escape)
    return encoder.piece(_chunk({"a": value}), {"label": [label], "score": [0.5]}).decode()


FORMULAS = {
    "=1+1": "'=1+1",
    "@SUM(A1)": "'@SUM(A1)",
    "\tx": "'\tx",
    "-5": "-5",
    "-1,50": "-1,50",
    "+1 (555) 010-9999": "+1 (555) 010-9999",
    "-1+2": "'-1+2",
}


@pytest.mark.parametrize("value", FORMULAS)
def test_formulas_get_an_apostrophe(value: str) -> None:
    """What a spreadsheet would run is text there, numbers stay numbers, and with --no-escape all stays as it is."""
    for text, label in ((_line(value), "pos"), (_line("x", value), value)):
        [row] = csv.reader(io.StringIO(text, newline=""))
        assert FORMULAS[value] in row, label
    [row] = csv.reader(io.StringIO(_line(value, value, escape=False), newline=""))
    assert row == [value, value, "0.5"]


@pytest.mark.parametrize("packed", [False, True])
def test_escaped_cells_of_the_input_are_counted(packed: bool) -> None:
    """Names and values of its own columns, and not those that are added; kinds that never escape have none."""
    answers = {"label": ["=p"] * 2, "score": [1.0] * 2}
    for kind, count in ((".csv", 3), (".tsv", 3), (".json", 0), (".jsonl", 0)):
        encoder = _encoder(kind, "=a", "b", packed=packed)
        for _ in range(2):
            encoder.piece(_chunk({"=a": "@x", "b": "y"}, {"=a": "-1", "b": ""}), answers)
        assert encoder.escaped == count
    assert _line("@x", escape=False) == "@x,pos,0.5\n"


def test_names_of_columns_are_escaped_too() -> None:
    """A header is a row like any other for a spreadsheet."""
    piece = _encoder(".csv", "=a", "-1").piece(_chunk({"=a": "x", "-1": "y"}), {"label": ["p"], "score": [1.0]})
    assert piece == b"'=a,-1,label,score\nx,y,p,1.0\n"


CELLS: list[tuple[object, str]] = [
    (None, ""),
    ("", ""),
    ("a,b", '"a,b"'),
    ('a"b', '"a""b"'),
    ("a\nb", '"a\nb"'),
    ("a\r\nb", '"a\r\nb"'),
    ("a\rb", '"a\rb"'),
    (" a ", " a "),
    (True, "true"),
    (12345678901234567890, "12345678901234567890"),
    (0.1, "0.1"),
    ([1, "ä"], '"[1, ""ä""]"'),
    ({"a": None}, '"{""a"": null}"'),
    (date(2026, 1, 2), "2026-01-02"),
    (Decimal("1.50"), "1.50"),
    (b"abc", "abc"),
    (b"\xff", "/w=="),
]


@pytest.mark.parametrize(("value", "cell"), CELLS)
def test_cells(value: object, cell: str) -> None:
    """Quotes only where they are needed, and what is nested as JSON."""
    assert _line(value) == f"{cell},pos,0.5\n"


def test_labels_are_joined_in_a_cell_and_listed_in_json() -> None:
    """The separator is that of training; JSON has lists."""
    layout = Layout(["a"], {"labels": "texts"}, label_separator="|")
    answers = {"labels": [["x", "y"], []]}
    chunk = _chunk({"a": "1"}, {"a": "2"})
    assert encoder_for(".csv", False, layout, True, {}).piece(chunk, answers) == b"1,x|y\n2,\n"
    lines = encoder_for(".jsonl", False, layout, True, {}).piece(chunk, answers)
    assert lines == b'{"a": "1", "labels": ["x", "y"]}\n{"a": "2", "labels": []}\n'


def test_rows_of_json_lines_keep_their_own_keys() -> None:
    """In their own order; nothing is added that a row has not."""
    piece = _encoder(".jsonl", "a").piece(
        _chunk({"b": {"y": 1, "x": [None]}, "a": 1}, {"c": 12345678901234567890}),
        {"label": ["p", "q"], "score": [1.0, 0.5]},
    )
    assert piece.decode().splitlines() == [
        '{"b": {"y": 1, "x": [null]}, "a": 1, "label": "p", "score": 1.0}',
        '{"c": 12345678901234567890, "label": "q", "score": 0.5}',
    ]


def test_pieces_of_an_array_make_one() -> None:
    """Whatever the borders are, and whether the first pieces are an earlier run's."""
    answers = {"label": ["p"], "score": [1.0]}
    first, second = _encoder(".json", "a"), _encoder(".json", "a", begun=True)
    whole = first.piece(_chunk({"a": 1}), answers) + first.piece(_chunk({"a": 2}), answers) + first.end()
    assert [row["a"] for row in json.loads(whole)] == [1, 2]
    assert first.end() == second.end()
    assert whole.endswith(second.piece(_chunk({"a": 2}), answers) + second.end())


def test_packed_pieces_are_members() -> None:
    """Each can be cut off without harm to those before it, and holds no time of day."""
    encoder = _encoder(".csv", "a", packed=True)
    answers = {"label": ["p"], "score": [1.0]}
    pieces = [encoder.piece(_chunk({"a": value}), answers) for value in "xy"]
    assert gzip.decompress(pieces[0] + pieces[1]) == b"a,label,score\nx,p,1.0\ny,p,1.0\n"
    assert gzip.decompress(pieces[0]) == b"a,label,score\nx,p,1.0\n"
    assert encoder.end() == b""
    assert gzip.decompress(_encoder(".json", "a", packed=True).end()) == b"\n]\n"


def test_key_that_comes_late_is_refused_where_columns_are_fixed() -> None:
    """With its line, and with the kind of file that can have it."""
    encoder = _encoder(".csv", "a")
    with pytest.raises(DataError, match=r"in.jsonl:2 \(row 2\): a key 'b' .*\n  fix: write JSON Lines"):
        encoder.piece(_chunk({"a": 1}, {"a": 1, "b": 2}), {"label": ["p"] * 2, "score": [1.0] * 2})


def test_half_a_character_is_spelled_in_json_and_refused_elsewhere() -> None:
    """JSON can write it as it came; UTF-8 has no bytes for it."""
    answers = {"label": ["é"] * 2, "score": [1.0] * 2}
    chunk = _chunk({"a": "x"}, {"a": "\ud83d"})
    lines = _encoder(".jsonl", "a").piece(chunk, answers).decode().splitlines()
    assert lines[0] == '{"a": "x", "label": "é", "score": 1.0}'
    assert json.loads(lines[1]) == {"a": "\ud83d", "label": "é", "score": 1.0}
    with pytest.raises(DataError, match=r"in.jsonl:2 \(row 2\): half a character"):
        _encoder(".csv", "a").piece(chunk, answers)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), [float("inf")], {"x": [float("nan")]}])
@pytest.mark.parametrize("kind", [".jsonl", ".json", ".csv", ".tsv"])
def test_number_that_json_has_not_is_refused(kind: str, value: object) -> None:
    """What Python reads as infinite would come out as no JSON at all, be it a cell or inside of one."""
    chunk = _chunk({"a": 1.5}, {"a": value})
    with pytest.raises(DataError, match=r"in.jsonl:2 \(row 2\): a number that is too large.*\n  fix: write it as a te"):
        _encoder(kind, "a").piece(chunk, {"label": ["p"] * 2, "score": [1.0] * 2})


def test_only_parquet_is_merged_at_the_end() -> None:
    """All other kinds are written piece by piece."""
    assert [kind for kind in (".csv", ".tsv", ".json", ".jsonl", ".parquet") if finisher_for(kind)] == [".parquet"]
