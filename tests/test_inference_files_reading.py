"""Files and streams as chunks of rows."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forgeml.errors import ConfigError, DataError, ForgeError
from forgeml.inference.files import chunks, pipes
from forgeml.inference.files.places import Source, source_of
from forgeml.inference.files.reading import How, Input, open_input

HOW = How()


def _rows(source: Source, how: How = HOW, skip: int = 0) -> list[Mapping[str, Any]]:
    with open_input(source, how) as opened:
        return [row for chunk in opened.chunks(skip) for row in chunk.rows()]


def _file(name: str) -> Source:
    return source_of(name, None, io.BytesIO())


def _opened(source: Source, how: How = HOW) -> Input:
    with open_input(source, how) as opened:
        list(opened.chunks())
    return opened


def test_values_stay_as_they_are_written(tmp_path: Path) -> None:
    """Numbers, words for nothing, and lines in quotes are texts."""
    (tmp_path / "a.csv").write_text('id;text\n007;"a\nb"\nNA;null\n')
    assert _rows(_file("a.csv")) == [{"id": "007", "text": "a\nb"}, {"id": "NA", "text": "null"}]
    assert _opened(_file("a.csv")).delimiter == ";"


@pytest.mark.parametrize(
    ("name", "content", "how"),
    [
        ("a.csv", b"text\tn\nx\t1\n", How(delimiter="tab")),
        ("a.tsv", b"text|n\nx|1\n", How(delimiter="|")),
        ("a.csv", "text,n\nx,1\n".encode("utf-16"), How(encoding="utf-16")),
        ("a.json", b'{"rows": [{"text": "x", "n": "1"}]}', How(field="rows")),
        ("a.json", b'{"text": "x", "n": "1"}\n', HOW),
        ("a.csv.gz", gzip.compress(b"text,n\nx,1\n", mtime=0), HOW),
        ("a.tsv", b"\xef\xbb\xbftext\tn\nx\t1\n", HOW),
    ],
)
def test_all_ways_in_which_a_file_may_be_written(name: str, content: bytes, how: How, tmp_path: Path) -> None:
    """Delimiters, encodings, rows under a key, compression and marks, from a file and from a pipe."""
    (tmp_path / name).write_bytes(content)
    assert _rows(_file(name), how) == [{"text": "x", "n": "1"}]
    if not name.endswith(".gz"):
        assert _rows(source_of("-", name[2:], io.BytesIO(content)), how) == [{"text": "x", "n": "1"}]


def test_archive_with_one_file(tmp_path: Path) -> None:
    """It is read as the file in it."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inner.jsonl", '{"text": "x"}\n')
    assert _rows(_file("a.zip")) == [{"text": "x"}]


def test_parquet_from_a_pipe() -> None:
    """It is put on disk first, as it is read from its end."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": ["x", None]}), sink)
    assert _rows(source_of("-", "parquet", io.BytesIO(sink.getvalue()))) == [{"text": "x"}, {"text": None}]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_rows_of_an_earlier_run_are_passed_over(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks and places of the others are those of a whole run."""
    monkeypatch.setattr(chunks, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr("forgeml.inference.files.parquet.ROWS_AT_ONCE", 10)
    table = pa.table({"text": [str(number) for number in range(95)]})
    if name == "a.parquet":
        pq.write_table(table, tmp_path / name, row_group_size=25)
    elif name == "a.csv":
        (tmp_path / name).write_text("text\n" + "".join(f"{number}\n" for number in range(95)))
    else:
        (tmp_path / name).write_text("".join(f'{{"text": "{number}"}}\n' for number in range(95)))
    with open_input(_file(name), HOW) as opened:
        whole = list(opened.chunks())
    done = len(whole[0]) + len(whole[1]) + len(whole[2])
    with open_input(_file(name), HOW) as opened:
        rest = list(opened.chunks(done))
    assert [chunk.column("text") for chunk in rest] == [chunk.column("text") for chunk in whole[3:]]
    assert [chunk.locate(0) for chunk in rest] == [chunk.locate(0) for chunk in whole[3:]]


REFUSALS: dict[str, tuple[bytes, How, type[ForgeError], str]] = {
    "a.jsonl": (b"{}", How(delimiter=";"), ConfigError, "data.delimiter: ';' is set, but a.jsonl is not CSV or TSV"),
    "a.csv": (b"text\nx\n", How(field="rows"), ConfigError, "data.field: 'rows' is set, but a.csv is not JSON"),
    "b.csv": (b"text\nx\n", How(delimiter="::"), ConfigError, "data.delimiter: '::' is not one character"),
    "c.csv": (b"text\nx\n", How(encoding="utf-88"), ConfigError, "data.encoding: no encoding 'utf-88'"),
    "d.csv": (b"text\ncaf\xe9\n", HOW, DataError, "d.csv:2: not UTF-8: byte 0xe9 at offset 8"),
    "e.csv": (b"PAR1", HOW, DataError, "e.csv: it is a Parquet file"),
    "f.parquet": (b"text\n", HOW, DataError, "f.parquet: not a Parquet file"),
    "g.parquet": (b"PAR1 and no more", HOW, DataError, "g.parquet: damaged, or not readable as Parquet"),
    "h.json": (b'{"rows": [{"a": 1}]}', HOW, DataError, "set data.field: rows"),
    "i.csv": (b'text\n"never closed\n', HOW, DataError, 'i.csv:2 (row 1): a " that opens on this line is never closed'),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_read_is_refused(name: str, tmp_path: Path) -> None:
    """In the words that training has for it."""
    content, how, kind, said = REFUSALS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(kind) as raised:
        _rows(_file(name), how)
    assert said in str(raised.value)


def test_bytes_of_a_pipe_that_are_no_text() -> None:
    """The byte is told; a pipe cannot be read again to find its line."""
    with pytest.raises(DataError) as raised:
        _rows(source_of("-", "csv", io.BytesIO(b"text\ncaf\xe9\n")))
    assert str(raised.value).startswith("standard input: not UTF-8: byte 0xe9\n  fix: set data.encoding")


def test_quote_that_stays_open_in_a_long_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the beginning is forgotten, the row is told, if not the very line."""
    monkeypatch.setattr(pipes, "MOST_KEPT", 100)
    content = b"text\n" + b"x\n" * 500_000 + b'"open\n'
    with pytest.raises(DataError, match=r"standard input:500002 \(row 500001\)"):
        _rows(source_of("-", "csv", io.BytesIO(content)), How(delimiter=","))


def test_progress_of_a_file_is_its_bytes(tmp_path: Path) -> None:
    """Read and in all; for Parquet rows; nothing is known of a pipe."""
    (tmp_path / "a.csv").write_text("text\nx\n")
    pq.write_table(pa.table({"text": ["x"] * 3}), tmp_path / "a.parquet")
    found = []
    for source in (_file("a.csv"), _file("a.parquet"), source_of("-", "csv", io.BytesIO(b"text\nx\n"))):
        with open_input(source, HOW) as opened:
            found += [opened.progress() for _ in opened.chunks()]
    assert [found[0], found[1], found[2][1]] == [(7, 7), (3, 3), 0]
