"""Data files as bytes."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from pathlib import Path

import pytest

from forgeml.data.reading import opening
from forgeml.data.reading.opening import check_first_bytes, is_data_file, open_file, suffix
from forgeml.errors import DataError, Problem

CONTENT = b"text,label\n" + b"some text,a\n" * 1000


def _zipped(*names: str, content: bytes = CONTENT, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name in names:
            archive.writestr(name, content)
    return packed.getvalue()


def _problem(path: Path) -> Problem:
    """The only problem that reading the bytes raises."""
    with pytest.raises(DataError) as raised, open_file(path) as opened:
        check_first_bytes(opened)
        opened.content.read()
    [problem] = raised.value.problems
    return problem


PACKED = {
    "data.csv": (CONTENT, ".csv"),
    "data.CSV.GZ": (gzip.compress(CONTENT), ".csv"),
    "data.zip": (_zipped("folder/", "folder/rows.jsonl", "__MACOSX/folder/._rows.jsonl"), ".jsonl"),
    "data.tsv.zip": (_zipped("rows.tsv", method=zipfile.ZIP_LZMA), ".tsv"),
    "two members.csv.gz": (gzip.compress(CONTENT[:100]) + gzip.compress(CONTENT[100:]), ".csv"),
}


@pytest.mark.parametrize("name", PACKED)
def test_content_comes_unpacked(name: str, tmp_path: Path) -> None:
    """Plain, gzipped and zipped files give the same bytes, once more after going back, and the kind that is inside."""
    path, (content, kind) = tmp_path / name, PACKED[name]
    path.write_bytes(content)
    with open_file(path) as opened:
        assert (opened.kind, opened.size) == (kind, len(content))
        assert opened.head() == CONTENT[:64]
        assert opened.content.read(5000) == CONTENT[:5000]
        opened.content.seek(0)
        assert opened.content.read() == CONTENT
        assert 0 < opened.done() <= opened.size


def test_kind_is_told_by_the_name() -> None:
    """Letter case and .gz do not count."""
    assert [suffix(Path(name)) for name in ("a.CSV", "a.b.json.gz", "a.tar.gz", "a")] == [".csv", ".json", ".tar", ""]
    assert is_data_file(Path("a.parquet.gz"))
    assert is_data_file(Path("a.ZIP"))
    assert not is_data_file(Path("a.csv.bak"))


CUT = gzip.compress(os.urandom(3000).hex().encode())
ENCRYPTED = bytearray(_zipped("a.csv"))
for start in (ENCRYPTED.index(b"PK\x03\x04") + 6, ENCRYPTED.index(b"PK\x01\x02") + 8):
    ENCRYPTED[start] |= 1
WRONG_SUM = bytearray(_zipped("a.csv"))
WRONG_SUM[40:60] = bytes(20)

ODD_FILES = {
    "table.csv": (b"PAR1\x15\x04", "it is a Parquet file", "name it .parquet"),
    "book.csv": (b"PK\x03\x04\x14", "Excel workbook", "export the workbook as CSV"),
    "page.csv": (b"<!DOCTYPE html><html>", "a web page", "download the file itself"),
    "lfs.parquet": (b"version https://git-lfs.github.com/spec/v1\noid", "git-lfs", "git lfs pull"),
    "small.csv": (CUT, "gzip-compressed", "add .gz"),
    "twice.csv.gz": (gzip.compress(CUT), "gzip-compressed", "add .gz"),
    "old.csv": (b"BZh91AY", "compressed with bzip2", "gzip"),
    "arrow.csv": (b"ARROW1\0\0", "an Arrow file", "Parquet"),
    "text.parquet": (b"text,label\n", "not a Parquet file", "name it by what it is"),
    "empty.parquet": (b"", "no rows", "write it again"),
    "cut.csv.gz": (CUT[:-500], f"ends early at byte {len(CUT) - 500:,} of the compressed file, after ", "again"),
    "damaged.csv.gz": (CUT[:40] + bytes(40) + CUT[80:], "damaged", "again"),
    "plain.csv.gz": (b"text,label\na,b\n", "damaged, or not what its name says", "again"),
    "plain.zip": (b"text,label\na,b\n", "damaged, or not what its name says", "again"),
    "cut.zip": (_zipped("a.csv")[:-40], "damaged", "again"),
    "damaged.zip": (bytes(WRONG_SUM), "damaged", "again"),
    "locked.zip": (bytes(ENCRYPTED), "cannot be unpacked", "unpack it"),
    "several.zip": (_zipped("a.csv", "b.csv"), "an archive of 2 files (a.csv, b.csv)", "data.dataset"),
    "none.zip": (_zipped("folder/"), "an archive of 0 files (none)", "data.dataset"),
    "picture.zip": (_zipped("a.png"), "a.png, is of no kind", ".csv"),
    "nested.zip": (_zipped("a.csv.gz"), "a.csv.gz, is of no kind", ".csv"),
    "sheet.xlsx": (b"PK", ".xlsx files are not read", "export the sheet as CSV"),
    "old.tar.gz": (b"", ".tar files are not read", "unpack it"),
    "rows.bz2": (b"", ".bz2 files are not read", "gzip"),
    "rows.arrow": (b"", ".arrow files are not read", "Parquet"),
    "rows.dat": (b"", "no known kind of data file", ".csv, .tsv, .jsonl"),
}


@pytest.mark.parametrize("name", ODD_FILES)
def test_file_of_another_kind_is_named(name: str, tmp_path: Path) -> None:
    """By the name or by the first bytes, the answer is what the file is and what to do about it."""
    content, what, fix = ODD_FILES[name]
    (tmp_path / name).write_bytes(content)
    problem = _problem(tmp_path / name)
    assert problem.where == str(tmp_path / name)
    assert what in problem.what
    assert fix in problem.fix


@pytest.mark.parametrize("name", ["bomb.csv.gz", "bomb.zip"])
def test_file_that_grows_without_measure_is_refused(name: str, tmp_path: Path) -> None:
    """What becomes more than 500 times as large is refused while it is unpacked."""
    content = bytes(12 * 2**20)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else _zipped("a.csv", content=content))
    with open_file(tmp_path / name) as opened:
        assert opened.size * opening.MOST_RATIO < len(content)
        with pytest.raises(DataError, match="more than 500 times its size"):
            while opened.content.read(2**20):
                pass
        assert opened.content.tell() < len(content)


def test_small_file_may_grow(tmp_path: Path) -> None:
    """Up to 10 MB no ratio counts, as a few repeated rows compress very well."""
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b"a,b\n" * 2**21))
    with open_file(tmp_path / "rows.csv.gz") as opened:
        assert len(opened.content.read()) == 2**23


def test_file_that_may_not_be_read_is_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's reason is passed on."""

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "data.csv").touch()
    monkeypatch.setattr("builtins.open", refuse)
    assert "cannot be read: Permission denied" in _problem(tmp_path / "data.csv").what
