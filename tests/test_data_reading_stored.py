"""Tables on disk."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from forgeml.data.reading import stored

TEXT = pa.large_string()
GROWING = [
    pa.table({"n": pa.array([1, 2], pa.int64()), "t": pa.nulls(2)}),
    pa.table(
        {"n": pa.array([2**60, None], pa.int64()), "t": pa.array(["a", None], TEXT), "odd": pa.array(["x", "y"], TEXT)}
    ),
    pa.table({"n": pa.array([0.5]), "t": pa.array(["b"], TEXT), "odd": pa.array(["z"], TEXT)}),
    pa.table(
        [pa.array([4.0]), pa.array(["c"], TEXT), pa.nulls(1), pa.array([[1]])],
        schema=pa.schema(
            [
                ("n", pa.float64()),
                ("t", TEXT),
                pa.field("odd", pa.null(), metadata={"why": "so"}),
                ("l", pa.list_(pa.int64())),
            ]
        ),
    ),
]
WHOLE = {
    "n": [1.0, 2.0, float(2**60), None, 0.5, 4.0],
    "t": [None, None, "a", None, "b", "c"],
    "odd": [None] * 6,
    "l": [None] * 5 + [[1]],
}


@pytest.mark.parametrize("way", ["memory", "disk"])
def test_tables_whose_schema_widens_become_one(way: str, tmp_path: Path) -> None:
    """In memory and on disk alike: nulls become texts, whole numbers floats, and what turns out unusable is emptied."""
    if way == "disk":
        stored.write(iter(GROWING), tmp_path)
        table = stored.read(tmp_path)
        assert {file.name for file in tmp_path.iterdir()} == {stored.ROWS, stored.SCHEMA}
    else:
        table = stored.join(iter(GROWING))
    assert table.to_pydict() == WHOLE
    assert table.schema.equals(GROWING[-1].schema, check_metadata=True)
    table.validate(full=True)


def test_reason_that_comes_late_is_kept(tmp_path: Path) -> None:
    """What is said of a column may change while its type does not; the last word counts."""
    tables = [
        pa.table([pa.nulls(1)], schema=pa.schema([pa.field("a", pa.null(), metadata={"why": why})]))
        for why in ("first", "second")
    ]
    stored.write(tables, tmp_path)
    assert stored.read(tmp_path).schema.field("a").metadata == {b"why": b"second"}


def test_nothing_is_an_empty_table(tmp_path: Path) -> None:
    """Without tables there are neither rows nor columns."""
    stored.write([], tmp_path)
    assert stored.read(tmp_path).num_columns == stored.join([]).num_columns == 0


def test_rows_stay_on_disk(tmp_path: Path) -> None:
    """A table that is read is mapped: Arrow has hardly any memory for it."""
    stored.write([pa.table({"t": pa.array(["x" * 1000] * 1000, TEXT)})] * 20, tmp_path)
    before = pa.total_allocated_bytes()
    table = stored.read(tmp_path)
    assert table.nbytes > 20 * 10**6
    assert pa.total_allocated_bytes() - before < 10**6


def test_damage_is_noticed(tmp_path: Path) -> None:
    """Half a file is an error of Arrow, for the caller to make a new one."""
    stored.write(GROWING, tmp_path)
    (tmp_path / stored.ROWS).write_bytes((tmp_path / stored.ROWS).read_bytes()[:-30])
    with pytest.raises((pa.ArrowException, OSError)):
        stored.read(tmp_path)
