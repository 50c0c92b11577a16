"""Rows of CSV and TSV files. Values are kept as they are written: `007`, `NA` and `null` are words."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa

from forgeml.errors import DataError, Problem

MOST_CHARACTERS = 2**27
"""Longer values are taken for a quote that is never closed."""
DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}

Record = tuple[int, list[str]] | Problem
"""The line that a row begins on, counted from 1, and its fields; or what is wrong there."""


def read_records(path: Path, lines: IO[str], delimiter: str) -> Iterator[Record]:
    """The header, and then all rows; a row that does not have the header's number of fields is a problem.

    Raises:
        DataError: the header cannot be meant so.
    """
    csv.field_size_limit(MOST_CHARACTERS)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    line, number, width = 1, 0, 0
    try:
        for row in rows:
            begun, line = line, rows.line_num + 1
            if not row:
                continue
            if not width:
                _check_header(f"{path}:{begun}", row, delimiter)
                width = len(row)
            yield (begun, row) if len(row) == width else _wrong_width(path, begun, number, len(row), width)
            number += 1
    except csv.Error as error:
        yield _broken(f"{path}:{line} (row {number})", str(error))


def as_table(chunks: Iterable[Sequence[list[str]]], header: Sequence[str]) -> pa.Table:
    """Columns of strings from rows that have the header's number of fields."""
    text = pa.large_string()
    schema = pa.schema([(name, text) for name in header])
    tables = [
        pa.table([pa.array(column, text) for column in zip(*rows, strict=True)], schema=schema) for rows in chunks
    ]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _check_header(where: str, header: Sequence[str], delimiter: str) -> None:
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        what = f"columns of the same name: {', '.join(map(repr, repeated))}"
        raise DataError.at(where, what, "give each column a name of its own")
    others = [word for other, word in DELIMITERS.items() if other != delimiter and other in header[0]]
    if len(header) == 1 and others:
        what = f"one column, {header[0][:60]!r}: its fields seem to be separated by {others[0]}"
        fix = f"separate them by {DELIMITERS[delimiter]}; a file with commas is to be named .csv, one with tabs .tsv"
        raise DataError.at(where, what, fix)


def _wrong_width(path: Path, line: int, number: int, found: int, wanted: int) -> Problem:
    fix = 'put texts that hold the delimiter or a line break in double quotes, and write " in them as ""'
    return Problem(f"{path}:{line} (row {number})", f"{found} fields where the header has {wanted}", fix)


def _broken(where: str, what: str) -> Problem:
    if what == "unexpected end of data":
        what = 'a " that opens in this row is never closed'
    return Problem(where, what, 'write " inside quoted texts as "", and close every quote')
