"""The rows of one file, whatever its kind: small ones in memory, large ones as a copy on disk that is mapped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from forgeml.config.schema import DataConfig
from forgeml.data.cache import kept
from forgeml.data.reading import delimited, json_rows, parquet, stored
from forgeml.data.reading.bad_rows import LeftOut, readable
from forgeml.data.reading.decoding import CONTROL, as_text, undecodable
from forgeml.data.reading.json_columns import Columns
from forgeml.data.reading.opening import (
    DELIMITED,
    Identity,
    Opened,
    check_first_bytes,
    identity_of,
    is_packed,
    open_file,
)
from forgeml.data.reading.text_columns import as_table
from forgeml.errors import DataError

OnProgress = Callable[[str, int, int], None]
"""Told of a long piece of work: what it is, bytes done, bytes in all."""

LARGE = 8 * 2**20
"""Files of more bytes are kept on disk as Arrow instead of in memory."""
PACKED_WEIGHT = 8
"""A compressed file counts for so many times its size."""
READER_VERSION = 1
"""To be raised when the same file gives other rows than before, as copies on disk are keyed by it."""

ROWS_AT_ONCE = 10_000
BYTES_AT_ONCE = 32 * 2**20

LINE, NUMBER = "\0line", "\0row"
"""Columns of the copy with the place of each row: its line, 0 for an item of an array, and its number from 1."""
NOTES = "notes.json"


@dataclass
class Tally:
    """What the user may not expect of how a file is read, counted while it is."""

    rows: int = 0
    left_out: LeftOut = field(default_factory=LeftOut)
    control: int = 0
    """Values with control characters."""
    delimiter: str = ","

    def notes(self, path: Path) -> tuple[str, ...]:
        """What there is to say of the file, in sentences."""
        name, notes = path.name, []
        if self.delimiter != ",":
            notes.append(f"the fields of {name} are separated by {delimited.DELIMITERS[self.delimiter]}")
        if count := self.left_out.count:
            are = "row of {} cannot be read and is" if count == 1 else "rows of {} cannot be read and are"
            first = self.left_out.first.replace(str(path), name).partition(" (row")[0]
            notes.append(f"{count:,} {are.format(name)} left out, the first at {first}")
        if self.control:
            hold = "value of {} holds" if self.control == 1 else "values of {} hold"
            notes.append(f"{self.control:,} {hold.format(name)} control characters, which are read as blanks")
        return tuple(notes)


@dataclass(frozen=True)
class FileRows:
    """The rows of a file and where they stand in it."""

    path: Path
    table: pa.Table
    places: pa.Table | None
    """Columns `LINE` and `NUMBER`, a row for each; None where the rows have no lines and none is left out."""
    notes: tuple[str, ...]

    def locate(self, row: int) -> str:
        """The place of a row, counted from 0, for messages."""
        if self.places is None:
            return f"{self.path} row {row + 1}"
        line, number = (self.places.column(name)[row].as_py() for name in (LINE, NUMBER))
        return f"{self.path}:{line} (row {number})" if line else f"{self.path} item {number}"


def ignore(task: str, done: int, total: int) -> None:
    """Tell nobody of the progress."""


def read_file(path: Path, data: DataConfig, on_progress: OnProgress = ignore) -> FileRows:
    """The rows of one file, every column of it.

    Args:
        path: of an ordinary file.
        data: how files are to be read: `delimiter`, `encoding`, `field` and `on_bad_rows`.
        on_progress: told of what has been read.

    Raises:
        DataError: not readable, or rows that do not fit; up to ten of them are named together.
    """
    before = identity_of(path)
    weight = before[1] * (PACKED_WEIGHT if is_packed(path) else 1)
    found = _copied(path, data, before, on_progress) if weight > LARGE else None
    if found is None:
        tally = Tally()
        found = stored.join(_tables(path, data, tally, on_progress)), tally.notes(path)
    if identity_of(path) != before:
        raise DataError.at(str(path), "it changed while it was read", "try again when it is finished")
    table, notes = found
    if LINE not in table.column_names:
        return FileRows(path, table, None, notes)
    return FileRows(path, table.drop_columns([LINE, NUMBER]), table.select([LINE, NUMBER]), notes)


def _copied(
    path: Path, data: DataConfig, identity: Identity, on_progress: OnProgress
) -> tuple[pa.Table, tuple[str, ...]] | None:
    """The rows from the copy on disk, which is made first where need be; None where the disk does not take it."""
    options = (data.delimiter, data.encoding, data.field, data.on_bad_rows)
    # A link to the same file under another name may be of another kind.
    key = {"file": identity, "name": path.name, "options": options, "reader": READER_VERSION}

    def build(folder: Path) -> None:
        tally = Tally()
        stored.write(_tables(path, data, tally, on_progress), folder)
        (folder / NOTES).write_text(json.dumps(tally.notes(path)), encoding="utf-8")

    for _ in range(2):
        folder = kept("tables", key, build)
        if folder is None:
            return None
        try:
            return stored.read(folder), tuple(json.loads((folder / NOTES).read_text(encoding="utf-8")))
        except (OSError, ValueError, pa.ArrowException):
            # Damaged from outside; the next turn makes it anew.
            shutil.rmtree(folder, ignore_errors=True)
    return None


def _tables(path: Path, data: DataConfig, tally: Tally, on_progress: OnProgress) -> Iterator[pa.Table]:
    """The rows, some at a time; `tally` is complete at the end."""
    with open_file(path) as opened:
        check_first_bytes(opened)
        try:
            for table in _tables_of_kind(opened, data, tally):
                cleaned, changed = _without_controls(table)
                tally.control += changed
                tally.rows += len(table)
                on_progress(f"read {path.name}", opened.done(), opened.size)
                yield cleaned
        except UnicodeError as error:
            raise undecodable(path, data.encoding) from error
    if not tally.rows:
        what = f"no rows that can be read, {tally.left_out.count:,} are left out" if tally.left_out.count else "no rows"
        raise DataError.at(str(path), what, "give a file with at least a few labelled texts of every class")


def _tables_of_kind(opened: Opened, data: DataConfig, tally: Tally) -> Iterator[pa.Table]:
    if opened.kind == ".parquet":
        yield from parquet.read_tables(opened)
        return
    with as_text(opened, data.encoding) as lines:
        read = _from_delimited if opened.kind in DELIMITED else _from_json
        yield from read(opened, lines, data, tally)


def _from_delimited(opened: Opened, lines: TextIOWrapper, data: DataConfig, tally: Tally) -> Iterator[pa.Table]:
    if data.delimiter is not None:
        delimiter = delimited.NAMED.get(data.delimiter, data.delimiter)
    elif opened.kind == ".tsv":
        delimiter = "\t"
    else:
        delimiter = tally.delimiter = delimited.recognise(lines)
        lines.seek(0)
    records = delimited.read_records(opened.path, lines, delimiter)
    first = next(records, None)
    header = first[1] if isinstance(first, tuple) else []
    for places, rows in _chunks(opened, readable(records, data.on_bad_rows, tally.left_out)):
        yield _placed(as_table(rows, header), places)


def _from_json(opened: Opened, lines: TextIOWrapper, data: DataConfig, tally: Tally) -> Iterator[pa.Table]:
    if opened.kind == ".json":
        records = json_rows.read_array(opened.path, lines, data.field)
    else:
        records = json_rows.read_records(opened.path, lines)
    columns = None
    for places, rows in _chunks(opened, readable(records, data.on_bad_rows, tally.left_out)):
        in_lines = places[0][0] > 0
        columns = columns or Columns(opened.path, "line" if in_lines else "item")
        yield _placed(columns.add(places[0] if in_lines else places[1], rows), places)


def _chunks(
    opened: Opened, rows: Iterable[tuple[int, int, Any]]
) -> Iterator[tuple[tuple[Sequence[int], Sequence[int]], Sequence[Any]]]:
    """Lines and numbers, and values, of some rows at a time, so that never all of them are Python objects."""
    chunk: list[tuple[int, int, Any]] = []
    start = 0
    for row in rows:
        chunk.append(row)
        if len(chunk) >= ROWS_AT_ONCE or (not len(chunk) % 100 and opened.content.tell() - start > BYTES_AT_ONCE):
            lines, numbers, values = zip(*chunk, strict=True)
            yield (lines, numbers), values
            chunk, start = [], opened.content.tell()
    if chunk:
        lines, numbers, values = zip(*chunk, strict=True)
        yield (lines, numbers), values


def _placed(table: pa.Table, places: tuple[Sequence[int], Sequence[int]]) -> pa.Table:
    for name, values in zip((LINE, NUMBER), places, strict=True):
        table = table.append_column(name, pa.array(values, pa.int64()))
    return table


def _without_controls(table: pa.Table) -> tuple[pa.Table, int]:
    """The table with blanks in place of control characters, and the number of values that held some."""
    changed = 0
    for place, one in enumerate(table.schema):
        if pa.types.is_large_string(one.type):
            column = table.column(place)
            count = pc.sum(pc.match_substring_regex(column, CONTROL)).as_py()
            if count:
                table = table.set_column(place, one, pc.replace_substring_regex(column, CONTROL, " "))
                changed += count
    return table, changed
