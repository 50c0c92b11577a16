"""Labels that are numbers to be told, not names of classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forgeml.errors import DataError

NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
MOST_SHOWN = 8


def all_numbers(values: pa.Array) -> bool:
    """Whether these texts are numbers throughout."""
    return len(values) > 0 and bool(pc.all(pc.match_substring_regex(values, NUMBER)).as_py())


def has_fractions(column: pa.ChunkedArray | pa.Array) -> bool:
    """Whether a number among these, or among these texts that are numbers, is not whole."""
    known = (pc.utf8_trim_whitespace(column) if _is_text(column.type) else column).cast(pa.float64()).drop_null()
    # What is not a number differs from itself, and is none with a fraction.
    return bool(pc.any(pc.and_(pc.not_equal(pc.floor(known), known), pc.is_finite(known))).as_py())


def as_numbers(column: pa.ChunkedArray, where: str, locate: Callable[[int], str]) -> pa.ChunkedArray:
    """Numbers of 64 bits, null where there is none; shape (rows,).

    Args:
        column: numbers, or texts that are numbers.
        where: file and column, for messages.
        locate: place of a row of the column, for messages.

    Raises:
        DataError: something that is no number, or no finite one.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if not (_is_text(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise DataError.at(where, f"labels of kind {kind}, not numbers", "choose another data.label_column")
    if _is_text(kind):
        blank = pc.equal(pc.utf8_trim_whitespace(column), "")
        column = pc.if_else(blank, None, column)
        _refuse(pc.invert(pc.match_substring_regex(column, NUMBER)), column, "no number", where, locate)
        column = pc.utf8_trim_whitespace(column)
    numbers = column.cast(pa.float64())
    missing = pc.is_nan(numbers)
    if pa.types.is_floating(kind):
        numbers = pc.if_else(missing, None, numbers)
    # They are learnt in 32 bits.
    _refuse(pc.invert(pc.is_finite(numbers.cast(pa.float32()))), column, "no finite number", where, locate)
    return numbers


def as_floats(numbers: pa.ChunkedArray) -> NDArray[np.float32]:
    """Numbers without nulls as an array, shape (rows,)."""
    return np.asarray(numbers.to_numpy(), dtype=np.float32)


def _refuse(
    wrong: pa.ChunkedArray, column: pa.ChunkedArray, what: str, where: str, locate: Callable[[int], str]
) -> None:
    rows = np.flatnonzero(pc.fill_null(wrong, False).to_numpy())
    if len(rows):
        listed = ", ".join(f"{column[int(row)].as_py()!r:.40} ({locate(int(row))})" for row in rows[:MOST_SHOWN])
        more = ", ..." if len(rows) > MOST_SHOWN else ""
        fix = "write numbers such as 3.5, take these rows out, or set data.task: single_label for names of classes"
        raise DataError.at(where, f"{len(rows):,} labels are {what}: {listed}{more}", fix)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
