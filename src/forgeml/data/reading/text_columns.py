"""Rows of fields as columns of text."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa


def as_table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> pa.Table:
    """Columns of strings from rows that have the header's number of fields."""
    text = pa.large_string()
    schema = pa.schema([(name, text) for name in header])
    if not rows:
        return schema.empty_table()
    return pa.table([pa.array(column, text) for column in zip(*rows, strict=True)], schema=schema)
