"""Rows of Parquet files, some at a time."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from forgeml.data.reading.opening import Opened
from forgeml.errors import DataError

ROWS_AT_ONCE = 2_000


def read_tables(opened: Opened) -> Iterator[pa.Table]:
    """All rows, as tables of some of them; texts get offsets of 64 bits and dictionaries are written out.

    Raises:
        DataError: damaged, or columns of the same name.
    """
    with parquet_file(opened) as file:
        schema = pa.schema([pa.field(field.name, _plain(field.type)) for field in file.schema_arrow])
        yield schema.empty_table()
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
            table = pa.Table.from_batches([batch])
            table.validate(full=True)
            yield table.cast(schema)


@contextmanager
def parquet_file(opened: Opened) -> Iterator[pq.ParquetFile]:
    """The file as Arrow reads it, with its checksums looked at.

    Raises:
        DataError: damaged, here or while it is read, or columns of the same name.
    """
    try:
        # A compressed Parquet file has to be on disk as it is, since it is read from its end.
        with tempfile.TemporaryFile() as unpacked:
            if opened.packed:
                shutil.copyfileobj(opened.content, unpacked)
                unpacked.seek(0)
            source = unpacked if opened.packed else opened.raw
            file = pq.ParquetFile(source, page_checksum_verification=True)
            _check_names(str(opened.path), file.schema_arrow)
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        what = f"damaged, or not readable as Parquet: {reason}"
        raise DataError.at(str(opened.path), what, "copy or download the file again, or write it anew") from error


def _check_names(where: str, schema: pa.Schema) -> None:
    repeated = [name for name, count in Counter(schema.names).items() if count > 1]
    if repeated:
        what = f"columns of the same name: {', '.join(map(repr, repeated))}"
        raise DataError.at(where, what, "give each column a name of its own")


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain(kind.value_type))
    return kind
