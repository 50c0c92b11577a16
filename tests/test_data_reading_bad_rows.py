"""Rows that do not fit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forgeml.data.reading.bad_rows import PROBLEMS_SHOWN, LeftOut, Record, readable
from forgeml.errors import DataError, Problem


def _records(*bad: int, count: int = 40) -> Iterator[Record]:
    """Rows of their own numbers, with problems in the place of some."""
    for number in range(1, count + 1):
        yield Problem(f"a.csv:{number}", "bad", "mend it") if number in bad else (number + 1, number)


def test_rows_are_left_out_and_counted() -> None:
    """The others keep their line and number; the place of the first one that is left out is known."""
    left_out = LeftOut()
    rows = list(readable(_records(3, 5, count=6), "skip", left_out))
    assert rows == [(2, 1, 1), (3, 2, 2), (5, 4, 4), (7, 6, 6)]
    assert left_out == LeftOut(2, "a.csv:3")


def test_problems_are_named_together() -> None:
    """No more than ten of them, and no row after the first is given out."""
    rows = readable(_records(*range(3, 30)), "error", LeftOut())
    assert [next(rows), next(rows)] == [(2, 1, 1), (3, 2, 2)]
    with pytest.raises(DataError) as raised:
        next(rows)
    assert [problem.where for problem in raised.value.problems] == [f"a.csv:{n}" for n in range(3, 3 + PROBLEMS_SHOWN)]


def test_what_ends_the_reading_comes_after_the_problems() -> None:
    """An error after which nothing can be read does not hide the rows before it."""

    def broken() -> Iterator[Record]:
        yield Problem("a.csv:2", "bad", "mend it")
        raise DataError.at("a.csv:3", "never closed", "close it")

    with pytest.raises(DataError) as raised:
        list(readable(broken(), "error", LeftOut()))
    assert [problem.where for problem in raised.value.problems] == ["a.csv:2", "a.csv:3"]
