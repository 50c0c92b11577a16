"""Data files as text."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from forgeml.data.reading.decoding import as_text, check_encoding, undecodable
from forgeml.data.reading.opening import open_file
from forgeml.errors import ConfigError, DataError

TEXT = "text,label\r\nnaïve café,a\n"


def _read(path: Path, encoding: str | None = None) -> str:
    with open_file(path) as opened, as_text(opened, encoding) as text:
        return text.read()


WRITTEN = {
    (None, "utf-8"),
    (None, "utf-8-sig"),
    ("UTF8", "utf-8-sig"),
    ("cp1252", "cp1252"),
    ("utf-16", "utf-16"),
    ("utf-16", "utf-16-le"),
    ("utf-16", "utf-16-be"),
    ("utf_16_le", "utf-16"),
    ("utf-16-be", "utf-16"),
    ("utf-32", "utf-32"),
}


@pytest.mark.parametrize(("named", "written"), sorted(WRITTEN, key=str))
def test_text_comes_without_marks_and_with_its_line_ends(named: str | None, written: str, tmp_path: Path) -> None:
    """The encoding named is used, and a byte order mark is dropped whichever way it is named."""
    (tmp_path / "a.csv").write_bytes(TEXT.encode(written))
    assert _read(tmp_path / "a.csv", named) == TEXT


@pytest.mark.parametrize(
    ("encoding", "fix"),
    [("cp1525", "did you mean cp125"), ("latin-11", "did you mean latin"), ("base64", "utf-8"), ("x\0", "name one")],
)
def test_unknown_encoding_is_a_matter_of_the_settings(encoding: str, fix: str) -> None:
    """The setting is named with the nearest encoding that there is; those that give no text are none."""
    with pytest.raises(ConfigError) as raised:
        check_encoding(encoding)
    [problem] = raised.value.problems
    assert problem.where == "data.encoding"
    assert fix in problem.fix


def test_known_encodings_pass() -> None:
    """All spellings that Python knows will do, and none at all."""
    for encoding in (None, "utf-8", "UTF8", "cp1252", "Latin-1", "gb18030", "utf_16"):
        check_encoding(encoding)


NO_TEXT = {
    "utf-16": (TEXT.encode("utf-16"), "it is encoded in UTF-16", "set data.encoding: utf-16"),
    "utf-32": (TEXT.encode("utf-32"), "it is encoded in UTF-32", "set data.encoding: utf-32"),
    "utf-16-le": ("text,label\n".encode("utf-16-le"), "as in UTF-16-LE", "set data.encoding: utf-16-le"),
    "utf-16-be": ("text,label\n".encode("utf-16-be"), "as in UTF-16-BE", "set data.encoding: utf-16-be"),
    "picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "it is no text", "save the file as UTF-8"),
}


@pytest.mark.parametrize("encoding", [None, "cp1252"])
@pytest.mark.parametrize("name", NO_TEXT)
def test_bytes_that_are_no_such_text_are_refused_at_once(name: str, encoding: str | None, tmp_path: Path) -> None:
    """Wide encodings are told by their first bytes, and the setting that reads them is named."""
    content, what, fix = NO_TEXT[name]
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError) as raised:
        _read(tmp_path / "a.csv", encoding)
    [problem] = raised.value.problems
    assert what in problem.what
    assert fix in problem.fix


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_other_encoding_is_named_with_line_and_byte(ending: str, tmp_path: Path) -> None:
    """The place is right beyond any buffer, the likely letter is shown, and the setting is the fix."""
    before = b"\xef\xbb\xbftext,label\n" + '"two\nlíneas",x\n'.encode() * 50_000
    content = before + "mañana,y\n".encode("cp1252")
    path = tmp_path / f"data{ending}"
    path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    with pytest.raises(UnicodeDecodeError):
        _read(path)
    [problem] = undecodable(path, None).problems
    assert problem.where == f"{path}:100002"
    assert f"not UTF-8: byte 0xf1 at offset {len(before) + 2} " in problem.what
    assert "in Windows-1252 it is 'ñ'" in problem.what
    assert "set data.encoding: cp1252" in problem.fix


UNFIT = {
    "cp1252": (b"text,label\na,b\nx\x81y,c\n", ":3", "byte 0x81 at offset 16"),
    "ascii": ("text,label\ncafé,b\n".encode(), ":2", "byte 0xc3 at offset 14"),
    "utf-16": ("text,label\na,b\n".encode("utf-16")[:-1], ":2", "at offset 30"),
}


@pytest.mark.parametrize("encoding", UNFIT)
def test_byte_that_does_not_fit_the_encoding_is_named(encoding: str, tmp_path: Path) -> None:
    """The encoding that is set is kept to strictly."""
    content, line, what = UNFIT[encoding]
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UnicodeDecodeError):
        _read(tmp_path / "a.csv", encoding)
    [problem] = undecodable(tmp_path / "a.csv", encoding).problems
    assert problem.where.endswith(f"a.csv{line}")
    assert f"not {encoding}: " in problem.what
    assert what in problem.what
    assert "data.encoding" in problem.fix
