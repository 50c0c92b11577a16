"""Parquet: read as it is, and written from pieces that are kept as Arrow until the end."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forgeml.data.reading.parquet import parquet_file
from forgeml.errors import DataError
from forgeml.inference.files.chunks import ROWS_AT_ONCE, Chunk
from forgeml.inference.files.writing import Answers, Layout, as_json, check_names

if TYPE_CHECKING:
    from forgeml.inference.files.reading import Input

BYTES_AT_ONCE = 2**25
"""A chunk has up to so many bytes, unless it is a single row."""
ROWS_IN_GROUP, BYTES_IN_GROUP = 2**16, 2**26
"""A row group of the output ends when it has so many rows or bytes."""
TEXT = pa.large_string()
TYPES = {
    "text": TEXT,
    "nested": TEXT,
    "empty": pa.null(),
    "true/false": pa.bool_(),
    "whole number": pa.int64(),
    "number": pa.float64(),
    "texts": pa.list_(TEXT),
    "empty list": pa.list_(pa.null()),
    "list of true/false": pa.list_(pa.bool_()),
    "list of whole numbers": pa.list_(pa.int64()),
    "list of numbers": pa.list_(pa.float64()),
}
"""What holds each kind of values. What is nested is kept as JSON, as its keys may differ from row to row."""
AT_LAST = {**TYPES, "empty": TEXT, "empty list": pa.list_(TEXT)}
"""The same in the file, where no row has said what a column holds."""
WIDER = {
    frozenset({"whole number", "number"}): "number",
    frozenset({"list of whole numbers", "list of numbers"}): "list of numbers",
    **{frozenset({"empty list", kind}): kind for kind in TYPES if kind.startswith("list of")},
    frozenset({"empty list", "texts"}): "texts",
    frozenset({"empty list", "nested"}): "nested",
    **{frozenset({"empty", kind}): kind for kind in TYPES},
}
"""Kinds that may stand in one column, and the kind that then holds them."""
PLAIN = {str: "text", bool: "true/false", int: "whole number", float: "number", type(None): "empty"}
IN_LISTS = {
    frozenset(): "empty list",
    frozenset({str}): "texts",
    frozenset({bool}): "list of true/false",
    frozenset({int}): "list of whole numbers",
    frozenset({float}): "list of numbers",
    frozenset({int, float}): "list of numbers",
}


@dataclass(frozen=True)
class Rows:
    """Rows as Arrow has them."""

    where: str
    """The file, for messages."""
    table: pa.Table
    start: int
    """Number of the first row in the file, counted from 0."""

    @property
    def names(self) -> Sequence[str]:
        """The columns."""
        names: list[str] = self.table.column_names
        return names

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.table)

    def column(self, name: str) -> Sequence[Any]:
        """The values of a column as Python has them; shape (rows,)."""
        values: list[Any] = _readable(self.table.column(name)).to_pylist()
        return values

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """Rows as Python values. Times are written out; numbers that are none, or infinite, are None."""
        columns = [_readable(column) for column in self.table.columns]
        rows: list[dict[str, Any]] = pa.table(columns, names=self.table.column_names).to_pylist()
        return rows

    def locate(self, row: int) -> str:
        """Number of a row, counted from 0 in this chunk."""
        return f"{self.where} row {self.start + row + 1}"


@dataclass
class Pieces:
    """Makes a stream of Arrow of each chunk; `merge` makes the file of them."""

    layout: Layout
    memory: dict[str, str] = field(default_factory=dict)
    """The kind of each column so far, for rows of Python values."""
    escaped: int = 0
    """Parquet escapes nothing."""

    def piece(self, chunk: Chunk, answers: Answers) -> bytes:
        """A table as a stream of its own.

        Raises:
            DataError: a row with a value of another kind than those before, or with a column of its own.
        """
        table = chunk.table if isinstance(chunk, Rows) else self._table(chunk)
        for name, kind in self.layout.added.items():
            table = table.append_column(name, pa.array(answers[name], TYPES[kind]))
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue()

    def end(self) -> bytes:
        """Nothing."""
        return b""

    def _table(self, chunk: Chunk) -> pa.Table:
        check_names(chunk, self.layout.names)
        arrays = [self._array(chunk, name) for name in self.layout.names]
        return pa.table(arrays, names=list(self.layout.names))

    def _array(self, chunk: Chunk, name: str) -> pa.Array:
        values = chunk.column(name)
        known = self.memory.get(name, "empty")
        kinds = list(map(_kind, values)) if set(map(type, values)) != {str} else ["text"]
        for kind in dict.fromkeys(kinds):
            wider = kind if kind == known else WIDER.get(frozenset({known, kind}))
            if wider is None:
                what = f"{name!r} holds a value of the kind {kind}, and before it there are those of the kind {known}"
                raise DataError.at(chunk.locate(kinds.index(kind)), what, "write JSON Lines, which keeps both")
            known = wider
        self.memory[name] = known
        try:
            if known == "nested":
                values = [None if value is None else as_json(value) for value in values]
            if known == "number":
                values = [None if value is None else float(value) for value in values]
            return pa.array(values, TYPES[known])
        except (ValueError, OverflowError, pa.ArrowException) as error:
            what = f"{name!r} holds a number that is too large, or half a character, here or in the rows behind"
            raise DataError.at(chunk.locate(0), what, "write JSON Lines, which keeps it") from error


def read_chunks(source: Input, skip: int) -> Iterator[Rows]:
    """All rows but the first ones, row group by row group.

    Args:
        source: a file that is open; it is told how far the reading is.
        skip: rows to be passed over; the end of a chunk of an earlier run.

    Raises:
        DataError: damaged, or columns of the same name.
    """
    where, start = str(source.opened.path), 0
    with parquet_file(source.opened) as file:
        source.progress = lambda: (start, file.metadata.num_rows)
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if start + count <= skip:
                start += count
                continue
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, row_groups=[group]):
                table = pa.Table.from_batches([batch], schema=batch.schema.with_metadata(file.schema_arrow.metadata))
                table.validate(full=True)
                # Long texts make smaller chunks; where they are cut depends on the rows alone.
                step = max(1, len(table) * BYTES_AT_ONCE // max(1, table.nbytes))
                for first in range(0, len(table), step):
                    rows = table.slice(first, step)
                    start += len(rows)
                    if start > skip:
                        yield Rows(where, rows, start - len(rows))


def merge(part: Path, target: Path, layout: Layout, memory: Mapping[str, str]) -> None:
    """Write the pieces of a part file as one Parquet file.

    Args:
        part: what `Pieces` has made, piece behind piece.
        target: the file to be written.
        layout: columns of the rows.
        memory: kinds of the columns, for rows of Python values; empty for rows that came as Arrow.

    Raises:
        OSError: the disk does not take it.
    """
    writer = None
    try:
        for table in _groups(part, _schema(layout, memory) if memory else None):
            if writer is None:
                writer = pq.ParquetWriter(str(target), table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _groups(part: Path, schema: pa.Schema | None) -> Iterator[pa.Table]:
    """Tables that are large enough for a row group, under this schema or their own."""
    tables: list[pa.Table] = []
    with pa.OSFile(str(part)) as source:
        while source.tell() < source.size():
            table = pa.ipc.open_stream(source).read_all()
            tables.append(table if schema is None else _fit(table, schema))
            if sum(map(len, tables)) >= ROWS_IN_GROUP or sum(table.nbytes for table in tables) >= BYTES_IN_GROUP:
                yield pa.concat_tables(tables)
                tables = []
    if tables:
        yield pa.concat_tables(tables)


def _schema(layout: Layout, memory: Mapping[str, str]) -> pa.Schema:
    kinds = [(name, memory[name]) for name in layout.names] + list(layout.added.items())
    return pa.schema([(name, AT_LAST[kind]) for name, kind in kinds])


def _fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table whose columns are as wide as those of the last one."""
    columns = []
    for column, one in zip(table.columns, schema, strict=True):
        if column.type == TYPES["empty list"] and one.type == TEXT:
            # Lists that held nothing stand beside nested ones, which are kept as JSON.
            column = pc.if_else(column.is_valid(), "[]", pa.scalar(None, TEXT))
        columns.append(column.cast(one.type, safe=False))
    return pa.table(columns, schema=schema)


def _kind(value: object) -> str:
    if isinstance(value, list):
        return IN_LISTS.get(frozenset(map(type, value)) - {type(None)}, "nested")
    return PLAIN.get(type(value), "nested")


def _readable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column whose values Python can take without loss and JSON can write."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _readable(column.cast(kind.value_type))
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return column.cast(pa.string())
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_finite(column), column, None)
    return column
