"""Rows of CSV and TSV files. Values are kept as they are written: `007`, `NA` and `null` are words."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

from forgeml.errors import DataError, Problem

MOST_CHARACTERS = 2**27
"""Longer values are taken for a quote that is never closed."""
LONGEST_HEADER = 2**20
"""Characters of the first line that are looked at to recognise the delimiter."""
DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
NAMED = {"tab": "\t"}
"""Delimiters that have a name in the settings."""
SETTINGS = {delimiter: f'"{name}"' for name, delimiter in NAMED.items()}

Record = tuple[int, list[str]] | Problem
"""The line that a row begins on, counted from 1, and its fields; or what is wrong with a row that can be left out."""


def recognise(lines: IO[str]) -> str:
    """The delimiter of a file called .csv: a comma, unless only another one makes columns of its first line.

    Args:
        lines: the file from its beginning.
    """
    first = next((line for line in iter(lambda: lines.readline(LONGEST_HEADER), "") if not line.isspace()), "")
    columns = {delimiter: len(next(csv.reader([first], delimiter=delimiter), [])) for delimiter in DELIMITERS}
    return "," if columns[","] > 1 else max(columns, key=lambda delimiter: columns[delimiter])


def read_records(path: Path, lines: IO[str], delimiter: str) -> Iterator[Record]:
    """The header, and then all rows; a row that does not have the header's number of fields is a problem.

    Raises:
        DataError: the header cannot be meant so, or there is a row after which nothing can be told apart.
    """
    csv.field_size_limit(MOST_CHARACTERS)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    number, width = 0, 0
    while True:
        begun = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield _broken(path, lines, begun, number, str(error))
            number += 1
            continue
        if not row:
            continue
        if not width:
            _check_header(f"{path}:{begun}", row, delimiter)
            width = len(row)
        yield (begun, row) if len(row) == width else _wrong_width(path, begun, number, len(row), width)
        number += 1


def _check_header(where: str, header: Sequence[str], delimiter: str) -> None:
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        what = f"columns of the same name: {', '.join(map(repr, repeated))}"
        raise DataError.at(where, what, "give each column a name of its own")
    others = [other for other in DELIMITERS if other != delimiter and other in header[0]]
    if len(header) == 1 and others:
        what = f"one column, {header[0][:60]!r}: its fields seem to be separated by {DELIMITERS[others[0]]}"
        fix = f"set data.delimiter: {SETTINGS.get(others[0], repr(others[0]))}"
        raise DataError.at(where, what, fix)


def _wrong_width(path: Path, line: int, number: int, found: int, wanted: int) -> Problem:
    fix = 'put texts that hold the delimiter or a line break in double quotes, and write " in them as ""'
    return Problem(f"{path}:{line} (row {number})", f"{found} fields where the header has {wanted}", fix)


def _broken(path: Path, lines: IO[str], line: int, number: int, what: str) -> Problem:
    """The problem of a row whose quotes do not fit.

    Raises:
        DataError: the rows after it cannot be told from it, or it is the header.
    """
    fix = 'write " inside quoted texts as "", and close every quote'
    if what == "unexpected end of data":
        opened = _opening_line(lines, line)
        raise DataError.at(f"{path}:{opened} (row {number})", 'a " that opens on this line is never closed', fix)
    problem = Problem(f"{path}:{line} (row {number})", what, fix)
    if "limit" in what:
        what = f"a value of more than {MOST_CHARACTERS:,} characters; maybe a quote in it is never closed"
        raise DataError.at(problem.where, what, fix)
    if not number:
        raise DataError([problem])
    return problem


def _opening_line(lines: IO[str], begun: int) -> int:
    """The line on which the quote opens that is still open at the end, in a row that begins on line `begun`."""
    try:
        lines.seek(0)
    except OSError:
        # A pipe of which much has been read cannot go back.
        return begun
    opened, inside = begun, False
    for number, line in enumerate(islice(lines, begun - 1, None), start=begun):
        # Two quotes side by side are one that is written, not one that closes and one that opens.
        for _ in range(line.replace('""', "").count('"')):
            inside = not inside
            opened = number if inside else opened
    return opened
