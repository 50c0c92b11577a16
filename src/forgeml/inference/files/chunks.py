"""Some rows of a file at a time, with all their columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

ROWS_AT_ONCE = 1024
"""Rows of a chunk. Borders depend on the rows alone, so a run that goes on meets the ones that it has left."""
CHARACTERS_AT_ONCE = 2**25
"""A chunk of long texts ends when it holds so many characters."""


class Chunk(Protocol):
    """Rows that follow each other."""

    @property
    def names(self) -> Sequence[str]:
        """The columns that these rows have, in their order."""

    def __len__(self) -> int:
        """Number of rows."""

    def column(self, name: str) -> Sequence[Any]:
        """The values of a column, None where a row has none; shape (rows,)."""

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """Each row as names and values that JSON has words for, or that `writing` makes such of."""

    def locate(self, row: int) -> str:
        """The place of a row, counted from 0 in this chunk, for messages."""


@dataclass(frozen=True)
class PythonRows:
    """Rows as Python values, as CSV and JSON have them."""

    where: str
    """The file, for messages."""
    values: Sequence[Mapping[str, Any]]
    lines: Sequence[int]
    """The line of each row, counted from 1; 0 for an item of an array."""
    numbers: Sequence[int]
    """The number of each row in the file, counted from 1."""

    @property
    def names(self) -> Sequence[str]:
        """All keys, in the order in which they first appear."""
        return tuple(dict.fromkeys(chain.from_iterable(self.values)))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.values)

    def column(self, name: str) -> Sequence[Any]:
        """The values of a key, None where a row has none; shape (rows,)."""
        return [row.get(name) for row in self.values]

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The rows as they are."""
        return self.values

    def locate(self, row: int) -> str:
        """Line and number of a row, counted from 0 in this chunk."""
        line, number = self.lines[row], self.numbers[row]
        return f"{self.where}:{line} (row {number})" if line else f"{self.where} item {number}"


def in_chunks(where: str, rows: Iterable[tuple[int, int, Mapping[str, Any]]], skip: int = 0) -> Iterator[PythonRows]:
    """Rows in chunks of a fixed number of them.

    Args:
        where: the file, for messages.
        rows: line, number and values of each.
        skip: rows at the beginning that are passed over; the end of a chunk of an earlier run.
    """
    chunk: list[tuple[int, int, Mapping[str, Any]]] = []
    characters = 0
    for place, row in enumerate(rows):
        if place < skip:
            continue
        chunk.append(row)
        characters += _weight(row[2])
        if len(chunk) == ROWS_AT_ONCE or characters > CHARACTERS_AT_ONCE:
            yield _chunk(where, chunk)
            chunk, characters = [], 0
    if chunk:
        yield _chunk(where, chunk)


def _chunk(where: str, rows: Sequence[tuple[int, int, Mapping[str, Any]]]) -> PythonRows:
    lines, numbers, values = zip(*rows, strict=True)
    return PythonRows(where, values, lines, numbers)


def _weight(row: Mapping[str, Any]) -> int:
    return sum(len(value) for value in row.values() if isinstance(value, str | list | dict))
