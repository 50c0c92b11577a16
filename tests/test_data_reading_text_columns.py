"""Rows of fields as columns of text."""

from __future__ import annotations

from forgeml.data.reading.text_columns import as_table


def test_table_has_strings_only() -> None:
    """Nothing is taken for a number or for missing."""
    table = as_table([["007", "NA"], ["1e5", "null"], ["", "True"]], ["text", "label"])
    assert table.to_pydict() == {"text": ["007", "1e5", ""], "label": ["NA", "null", "True"]}


def test_table_without_rows_keeps_its_columns() -> None:
    """A header alone gives an empty table."""
    table = as_table([], ["text", "label"])
    assert (len(table), table.column_names) == (0, ["text", "label"])
