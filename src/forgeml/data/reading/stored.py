"""Tables that are too large for memory: written to disk piece by piece, and read from there as they are needed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

ROWS = "rows.arrow"
SCHEMA = "schema.arrow"
PART = "part-{}.arrow"


def join(tables: Iterable[pa.Table]) -> pa.Table:
    """Tables as one in memory. Their schemas may widen on the way; that of the last one holds for all."""
    found = list(tables) or [pa.table({})]
    return pa.concat_tables([fit(table, found[-1].schema) for table in found])


def write(tables: Iterable[pa.Table], folder: Path) -> None:
    """Write tables one after another, to be opened as one, with no more than one of them in memory.

    Args:
        tables: their schemas may widen on the way; that of the last one holds for all.
        folder: where they are written to; `read` is to be given the same.

    Raises:
        OSError: the disk does not take them.
    """
    parts: list[Path] = []
    schema, writer = pa.schema([]), None
    try:
        for table in tables:
            if writer is None or not table.schema.equals(schema):
                if writer is not None:
                    writer.close()
                parts.append(folder / PART.format(len(parts)))
                writer = pa.ipc.new_file(str(parts[-1]), table.schema)
            schema = table.schema
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    _merge(parts, schema, folder / ROWS)
    # What is said of a column may have changed without its type, and so without a new part.
    (folder / SCHEMA).write_bytes(schema.serialize().to_pybytes())


def read(folder: Path) -> pa.Table:
    """What `write` has written, mapped into memory instead of read.

    Raises:
        OSError: it is not there.
        pa.ArrowException: it is damaged.
    """
    with pa.memory_map(str(folder / ROWS)) as source:
        rows = pa.ipc.open_file(source).read_all()
    schema = pa.ipc.read_schema(pa.py_buffer((folder / SCHEMA).read_bytes()))
    return pa.table(rows.columns, schema=schema)


def fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table under a schema that is at least as wide: absent columns are null, unusable ones are emptied."""
    columns = []
    for field in schema:
        place = table.schema.get_field_index(field.name)
        column = table.column(place) if place >= 0 else None
        if column is None or pa.types.is_null(field.type) or pa.types.is_null(column.type):
            column = pa.nulls(len(table), field.type)
        elif column.type != field.type:
            # Whole numbers become floats, those of more than 53 bits the nearest.
            column = column.cast(field.type, safe=False)
        columns.append(column)
    return pa.table(columns, schema=schema)


def _merge(parts: list[Path], schema: pa.Schema, target: Path) -> None:
    """One file of the parts. A single part is it already."""
    if len(parts) == 1:
        parts[0].rename(target)
        return
    with pa.ipc.new_file(str(target), schema) as writer:
        for part in parts:
            with pa.memory_map(str(part)) as source:
                reader = pa.ipc.open_file(source)
                for number in range(reader.num_record_batches):
                    writer.write_table(fit(pa.Table.from_batches([reader.get_batch(number)]), schema))
            part.unlink()
