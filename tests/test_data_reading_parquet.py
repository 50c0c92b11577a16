"""Rows of Parquet files."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forgeml.data.reading import parquet, stored
from forgeml.data.reading.opening import open_file
from forgeml.errors import DataError

TABLE = pa.table(
    {
        "text": pa.array(["007", None, "naïve"]),
        "label": pa.array(["x", "y", "x"]).dictionary_encode(),
        "tags": pa.array([["a"], [], ["b", "c"]]),
        "codes": pa.array([[1], None, [2, 3]], pa.large_list(pa.int32())),
        "score": pa.array([1.5, 2.5, None]),
    }
)


def _read(path: Path) -> pa.Table:
    with open_file(path) as opened:
        return stored.join(parquet.read_tables(opened))


def test_columns_keep_their_kinds(tmp_path: Path) -> None:
    """Texts and lists arrive as they are, dictionaries written out, offsets of 64 bits for texts."""
    pq.write_table(TABLE, tmp_path / "a.parquet")
    table = _read(tmp_path / "a.parquet")
    assert table.to_pydict() == TABLE.to_pydict()
    text = pa.large_string()
    assert table.schema.types == [text, text, pa.list_(text), pa.list_(pa.int32()), pa.float64()]


def test_row_groups_are_read_some_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However rows are grouped on disk and read, they come in their order."""
    pq.write_table(pa.table({"n": range(100)}), tmp_path / "a.parquet", row_group_size=30)
    monkeypatch.setattr(parquet, "ROWS_AT_ONCE", 7)
    with open_file(tmp_path / "a.parquet") as opened:
        tables = list(parquet.read_tables(opened))
    assert max(map(len, tables)) == 7
    assert stored.join(tables)["n"].to_pylist() == list(range(100))


def test_compressed_once_more_it_is_read_too(tmp_path: Path) -> None:
    """A Parquet file in gzip or in an archive gives the same rows."""
    pq.write_table(TABLE, tmp_path / "a.parquet")
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.parquet", "inner.parquet")
    for name in ("a.parquet.gz", "a.zip"):
        assert _read(tmp_path / name).equals(_read(tmp_path / "a.parquet"))


def test_flipped_bytes_are_found_by_the_checksum(tmp_path: Path) -> None:
    """A byte that changed on disk is an error, not another text."""
    path = tmp_path / "a.parquet"
    table = pa.table({"text": ["some text that stands there once"]})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    path.write_bytes(path.read_bytes().replace(b"that stands", b"that stinks"))
    with pytest.raises(DataError, match=r"damaged, or not readable as Parquet: .*CRC"):
        _read(path)


@pytest.mark.parametrize("keep", [4, 100, -10])
def test_file_that_is_cut_short_is_damaged(keep: int, tmp_path: Path) -> None:
    """A file without its end, where Parquet has its description, is refused in words."""
    pq.write_table(TABLE, tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:keep])
    with pytest.raises(DataError, match="damaged, or not readable as Parquet"):
        _read(tmp_path / "a.parquet")


def test_text_that_is_no_unicode_is_refused(tmp_path: Path) -> None:
    """Arrow itself would hand out such bytes as text."""
    array = pa.Array.from_buffers(pa.string(), 1, pa.array([b"ma\xf1ana"]).buffers())
    pq.write_table(pa.table({"text": array}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="Invalid UTF8"):
        _read(tmp_path / "a.parquet")


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """Parquet takes two columns of one name; which is meant cannot be told."""
    pq.write_table(pa.table([["a"], ["b"]], names=["text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="columns of the same name: 'text'"):
        _read(tmp_path / "a.parquet")
