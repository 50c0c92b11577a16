"""Labels that are numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from forgeml.data.labels.numbers import MOST_SHOWN, all_numbers, as_floats, as_numbers, has_fractions
from forgeml.errors import DataError

WHERE = "data.csv column score"


def _column(values: list[Any], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    """The values in two chunks."""
    kind = kind or pa.array(values).type
    return pa.chunked_array([pa.array(values[:1], kind), pa.array(values[1:], kind)], kind)


def _locate(row: int) -> str:
    return f"line {row + 2}"


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1", "-2.5", "+.5", "3.", "1e-5", " 7 ", "2E+3"], True),
        (["1", "x"], False),
        (["1", ""], False),
        (["nan"], False),
        (["inf"], False),
        (["1,5"], False),
        (["1_000"], False),
        (["0x1"], False),
        ([], False),
    ],
)
def test_texts_that_are_numbers(texts: list[str], numbers: bool) -> None:
    """Signs, fractions, exponents and outer spaces are parts of numbers; words, hexadecimals and commas are not."""
    assert all_numbers(pa.array(texts, pa.large_string())) == numbers


@pytest.mark.parametrize(
    ("column", "fractions"),
    [
        (_column([1.0, 2.0, None]), False),
        (_column([1.0, 2.5]), True),
        (_column([1, 2]), False),
        (_column(["1.0", " 2 ", None]), False),
        (_column(["1.5", "2"]), True),
        (_column([1.0, float("nan")]), False),
        (_column([None, None], pa.float64()), False),
    ],
)
def test_fractions_are_noticed(column: pa.ChunkedArray, fractions: bool) -> None:
    """`2.0` is whole, and a missing number is no fraction."""
    assert has_fractions(column) == fractions


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (_column([1, None, -3]), [1.0, None, -3.0]),
        (_column([0.5, float("nan"), None]), [0.5, None, None]),
        (_column([0.5, 1.5], pa.float32()), [0.5, 1.5]),
        (_column(["0.5", " -2 ", "", " ", None, "1e3"]), [0.5, -2.0, None, None, None, 1000.0]),
        (_column(["0.5", "2"], pa.large_string()), [0.5, 2.0]),
        (_column(["1", "2", "1"]).dictionary_encode(), [1.0, 2.0, 1.0]),
        (_column([None, None], pa.null()), [None, None]),
    ],
    ids=["integers", "fractions", "single precision", "texts", "large texts", "categories", "nothing"],
)
def test_numbers_of_any_kind_are_read(column: pa.ChunkedArray, expected: list[float | None]) -> None:
    """Numbers come out as they are, and null where there is none."""
    found = as_numbers(column, WHERE, _locate)
    assert found.to_pylist() == expected
    assert found.type == pa.float64()


@pytest.mark.parametrize(
    ("column", "what"),
    [
        (_column(["1", "high", "2", "low"]), r"2 labels are no number: 'high' \(line 3\), 'low' \(line 5\)"),
        (_column(["1", "nan"]), r"1 labels are no number: 'nan' \(line 3\)"),
        (_column(["1,5", "2"]), r"1 labels are no number: '1,5' \(line 2\)"),
        (_column([1.0, float("inf")]), r"1 labels are no finite number: inf \(line 3\)"),
        (_column(["1", "1e999"]), r"1 labels are no finite number: '1e999' \(line 3\)"),
        (_column([1.0, 1e300]), r"1 labels are no finite number.*line 3"),
        (_column([True, False]), "labels of kind bool, not numbers"),
        (_column([["1"], ["2"]]), "labels of kind list"),
    ],
    ids=["words", "not a number", "comma", "infinite", "too large", "too large for 32 bits", "booleans", "lists"],
)
def test_what_is_no_number_is_refused_with_its_row(column: pa.ChunkedArray, what: str) -> None:
    """Each is shown with its place, so that it can be found."""
    with pytest.raises(DataError, match=what) as raised:
        as_numbers(column, WHERE, _locate)
    assert raised.value.problems[0].where == WHERE


def test_many_wrong_numbers_are_shown_by_a_few() -> None:
    """The message stays short."""
    with pytest.raises(DataError, match=f"30 labels are no number.*line {MOST_SHOWN + 1}.*, ...\n") as raised:
        as_numbers(_column(["word " * 100] * 30), WHERE, _locate)
    assert len(str(raised.value)) < 1000


def test_numbers_become_an_array() -> None:
    """32 bits, as the model computes with."""
    found = as_floats(_column([0.5, 2.0], pa.float64()))
    assert found.tolist() == [0.5, 2.0]
    assert found.dtype == np.float32
