"""Rows that do not fit: named together, or left out and counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from forgeml.errors import DataError, Problem

PROBLEMS_SHOWN = 10

Record = tuple[int, Any] | Problem
"""The line of a row and its value; or what is wrong with a row that can be left out."""


@dataclass
class LeftOut:
    """The rows that are left out, counted while they are met."""

    count: int = 0
    first: str = ""
    """The place of the first one."""

    def add(self, problem: Problem) -> None:
        """Count a row that cannot be read."""
        self.first = self.first or problem.where
        self.count += 1


def readable(records: Iterable[Record], on_bad_rows: str, left_out: LeftOut) -> Iterator[tuple[int, int, Any]]:
    """Line, number and value of the rows without problems.

    Args:
        records: rows and problems, in the order of the file.
        on_bad_rows: `error`, or `skip` to leave rows with problems out.
        left_out: counts those.

    Raises:
        DataError: with the first problems together, unless the rows that have them are to be left out.
    """
    problems: list[Problem] = []
    try:
        for number, record in enumerate(records, start=1):
            if not isinstance(record, Problem):
                if not problems:
                    yield record[0], number, record[1]
            elif on_bad_rows == "skip":
                left_out.add(record)
            else:
                problems.append(record)
                if len(problems) == PROBLEMS_SHOWN:
                    break
    except DataError as error:
        raise DataError([*problems, *error.problems]) from error
    if problems:
        raise DataError(problems)
