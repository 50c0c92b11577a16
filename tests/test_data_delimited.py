"""CSV and TSV rows."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from forgeml.data import delimited
from forgeml.errors import DataError, Problem

PLACE = Path("data.csv")


def _read(text: str, delimiter: str = ",") -> list[delimited.Record]:
    return list(delimited.read_records(PLACE, io.StringIO(text, newline=""), delimiter))


def test_rows_come_with_the_line_that_they_begin_on() -> None:
    """Line breaks in quotes and blank lines count as lines but not as rows."""
    records = _read('text,label\n"two\nlines",a\n\nnext,b\r\n"x\r\ny",c\n')
    assert records == [
        (1, ["text", "label"]),
        (2, ["two\nlines", "a"]),
        (5, ["next", "b"]),
        (6, ["x\r\ny", "c"]),
    ]


def test_rows_of_another_width_are_problems_with_line_and_row() -> None:
    """A row with too many or too few fields is named by its line and its number among the rows."""
    _, _, first, second, last = _read('text,label\n"a\nb",x\n1,2,3\nalone\nc,y\n')
    assert isinstance(first, Problem)
    assert isinstance(second, Problem)
    assert (first.where, first.what) == ("data.csv:4 (row 2)", "3 fields where the header has 2")
    assert (second.where, second.what) == ("data.csv:5 (row 3)", "1 fields where the header has 2")
    assert last == (6, ["c", "y"])


BROKEN = {
    'text,label\n"a\nb",x\n"open,y\nc,z\n': ("data.csv:4 (row 2)", "never closed"),
    'text,label\n"a" b,x\n': ("data.csv:2 (row 1)", "expected after"),
    '"text,label\n': ("data.csv:1 (row 0)", "never closed"),
}


@pytest.mark.parametrize("text", BROKEN)
def test_broken_quotes_are_named_where_the_row_begins(text: str) -> None:
    """An unclosed quote swallows the lines after it; the message names the line where its row begins."""
    where, what = BROKEN[text]
    problem = _read(text)[-1]
    assert isinstance(problem, Problem)
    assert problem.where == where
    assert what in problem.what


HEADERS = {
    ("text;label", ","): ("semicolons", "commas"),
    ("text\tlabel", ","): ("tabs", ".tsv"),
    ("text|label", ","): ("bars", "commas"),
    ("text,label", "\t"): ("commas", ".csv"),
    ("text,text,label", ","): ("'text'", "name of its own"),
    ("text,,", ","): ("''", "name of its own"),
}


@pytest.mark.parametrize(("header", "delimiter"), HEADERS)
def test_header_that_cannot_be_meant_is_refused(header: str, delimiter: str) -> None:
    """Another delimiter and repeated names are refused with what was found and what to do."""
    with pytest.raises(DataError) as raised:
        _read(f"{header}\na;b\n", delimiter)
    [problem] = raised.value.problems
    found, fix = HEADERS[header, delimiter]
    assert problem.where == "data.csv:1"
    assert found in problem.what
    assert fix in problem.fix


def test_table_has_strings_only() -> None:
    """Nothing is taken for a number or for missing."""
    table = delimited.as_table([[["007", "NA"], ["1e5", "null"]], [["", "True"]]], ["text", "label"])
    assert table.to_pydict() == {"text": ["007", "1e5", ""], "label": ["NA", "null", "True"]}


def test_table_without_rows_keeps_its_columns() -> None:
    """A header alone gives an empty table."""
    table = delimited.as_table([], ["text", "label"])
    assert (len(table), table.column_names) == (0, ["text", "label"])
