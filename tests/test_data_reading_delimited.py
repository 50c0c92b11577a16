"""CSV and TSV rows."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from forgeml.data.reading import delimited
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


UNCLOSED = {
    'text,label\n"a\nb",x\n"open,y\nc,z\n': "data.csv:4 (row 2)",
    'text,label\n"closed\nhere",x\n"two\nlines","open\nto the end': "data.csv:5 (row 2)",
    '"text,label\n': "data.csv:1 (row 0)",
}


@pytest.mark.parametrize("text", UNCLOSED)
def test_quote_that_is_never_closed_is_named_where_it_opens(text: str) -> None:
    """An unclosed quote swallows the lines after it; the error names the line where it opens."""
    with pytest.raises(DataError, match="opens on this line is never closed") as raised:
        _read(text)
    assert raised.value.problems[0].where == UNCLOSED[text]


def test_row_with_letters_behind_a_quote_is_a_problem_of_its_own() -> None:
    """Reading goes on with the next line, so that such a row can be left out."""
    _, problem, last = _read('text,label\n"a" b,x\nc,y\n')
    assert isinstance(problem, Problem)
    assert (problem.where, "expected after" in problem.what) == ("data.csv:2 (row 1)", True)
    assert last == (3, ["c", "y"])


def test_header_with_broken_quotes_is_refused() -> None:
    """Without a header no row can be read, so it is no row that may be left out."""
    with pytest.raises(DataError, match="expected after"):
        _read('"text" x,label\na,b\n')


def test_value_beyond_the_bound_is_refused_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is too long ends the reading, before it fills the memory."""
    monkeypatch.setattr(delimited, "MOST_CHARACTERS", 100)
    with pytest.raises(DataError, match="more than 100 characters"):
        _read("text,label\n" + "x" * 101 + ",y\n")


RECOGNISED = {
    "text,label\n": ",",
    "text;label\n": ";",
    "\n\ntext\tlabel\n": "\t",
    'text|label|"id"\n': "|",
    "text\n": ",",
    "text;more,label\n": ",",
    "": ",",
}


@pytest.mark.parametrize("text", RECOGNISED)
def test_delimiter_is_recognised_by_the_header(text: str) -> None:
    """The comma stands unless it gives a single column and another delimiter gives several."""
    assert delimited.recognise(io.StringIO(text, newline="")) == RECOGNISED[text]


HEADERS = {
    ("text;label", ","): ("semicolons", "set data.delimiter: ';'"),
    ("text\tlabel", ","): ("tabs", 'set data.delimiter: "tab"'),
    ("text|label", ","): ("bars", "set data.delimiter: '|'"),
    ("text,label", "\t"): ("commas", "set data.delimiter: ','"),
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
