"""What is loaded only where it is needed."""

from __future__ import annotations

from forgeml.inference.files import late, parquet


def test_the_table_leads_to_modules_that_there_are() -> None:
    """Parquet has a module of its own, with all that is asked of it."""
    assert late.module_for(".parquet") is parquet
    for name in ("read_chunks", "Pieces", "merge"):
        assert hasattr(parquet, name)
