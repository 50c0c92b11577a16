"""A data file as bytes: of which kind it is, by its name and its first bytes, and unpacked where it is compressed."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, NoReturn, cast

from forgeml.errors import DataError

DELIMITED = (".csv", ".tsv")
LINES = (".jsonl", ".ndjson")
KINDS = (*DELIMITED, *LINES, ".json", ".parquet")
"""By the end of the name, without .gz."""
ARCHIVE = ".zip"

OTHER_KINDS = {
    ".xlsx": "export the sheet as CSV",
    ".xls": "export the sheet as CSV",
    ".ods": "export the sheet as CSV",
    ".bz2": "unpack it, or compress it with gzip",
    ".xz": "unpack it, or compress it with gzip",
    ".zst": "unpack it, or compress it with gzip",
    ".7z": "unpack it",
    ".rar": "unpack it",
    ".tar": "unpack it and name its files",
    ".tgz": "unpack it and name its files",
    ".arrow": "write it as Parquet",
    ".feather": "write it as Parquet",
    ".pkl": "write it as CSV or JSON Lines; files of this kind can run code and are not opened",
    ".txt": "name it .csv or .tsv if its lines have fields; otherwise write a CSV file with a column for the label",
}
"""Kinds of files that people have data in and that are not read, and what to do about them."""

PARQUET_START = b"PAR1"
FIRST_BYTES = {
    b"\x1f\x8b": ("gzip-compressed", "add .gz to its name"),
    PARQUET_START: ("a Parquet file", "name it .parquet"),
    b"PK\x03\x04": ("a zip archive or an Excel workbook", "name it .zip, or export the workbook as CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Office document", "export it as CSV"),
    b"BZh": ("compressed with bzip2", OTHER_KINDS[".bz2"]),
    b"\xfd7zXZ": ("compressed with xz", OTHER_KINDS[".xz"]),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", OTHER_KINDS[".zst"]),
    b"ARROW1": ("an Arrow file", OTHER_KINDS[".arrow"]),
    b"%PDF": ("a PDF document", "give the table itself, as CSV"),
    b"version https://git-lfs": ("a pointer of git-lfs, not the data", "run git lfs pull"),
    b"<!doctype": ("a web page", "download the file itself, not the page about it"),
    b"<html": ("a web page", "download the file itself, not the page about it"),
}
"""Files of other kinds under a known name: what they are and what to do."""

MOST_RATIO = 500
"""A file that grows to more than so many times its size on disk is taken for one made to fill the machine."""
HARMLESS_BYTES = 10 * 2**20
"""Up to so many bytes any growth is fine."""
BLOCK = 2**18

DAMAGED = (zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, lzma.LZMAError)


Identity = tuple[str, int, int, int, int]
"""Real path, size, times of change in nanoseconds and inode of a file."""


@dataclass(frozen=True)
class Opened:
    """A file that is being read."""

    path: Path
    kind: str
    """One of `KINDS`; of an archive, that of the file in it."""
    packed: bool
    size: int
    """Bytes on disk."""
    raw: BinaryIO
    """What is on disk."""
    content: BinaryIO
    """What is in it; the same unless it is compressed."""

    def done(self) -> int:
        """Bytes on disk that have been read."""
        return min(self.raw.tell(), self.size)

    def head(self) -> bytes:
        """The first bytes of the content, while nothing of it has been read."""
        return cast(io.BufferedReader, self.content).peek(64)[:64]


def identity_of(path: Path) -> Identity:
    """What is different whenever the content of the file is."""
    with reading_errors(path):
        facts = path.stat()
        return os.path.realpath(path), facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino


def suffix(path: Path) -> str:
    """The end of the name that tells the kind, in lower case and without .gz."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def is_data_file(path: Path) -> bool:
    """Whether the name is one of a file that can be read."""
    return suffix(path) in KINDS or path.name.lower().endswith(ARCHIVE)


def is_packed(path: Path) -> bool:
    """Whether the file is larger than it looks."""
    return path.name.lower().endswith((".gz", ARCHIVE, ".parquet"))


@contextmanager
def open_file(path: Path) -> Iterator[Opened]:
    """Open a data file for reading.

    Raises:
        DataError: not a kind that is read, or the system or the decompression refuses, here or while it is read.
    """
    _check_kind(path)
    with reading_errors(path), ExitStack() as stack:
        raw = stack.enter_context(open(path, "rb", buffering=BLOCK))
        size = path.stat().st_size
        if path.name.lower().endswith(ARCHIVE):
            kind, unpacked = _open_archive(path, raw, stack)
        elif path.name.lower().endswith(".gz"):
            kind, unpacked = suffix(path), cast(IO[bytes], gzip.GzipFile(fileobj=raw))
        else:
            yield Opened(path, suffix(path), False, size, raw, raw)
            return
        content = cast(BinaryIO, io.BufferedReader(_Unpacking(path, unpacked, raw, size), buffer_size=BLOCK))
        yield Opened(path, kind, True, size, raw, stack.enter_context(content))


def check_first_bytes(opened: Opened) -> None:
    """Refuse a file that is of another kind than its name says.

    Raises:
        DataError: it is, with what it is.
    """
    head = opened.head()
    if opened.kind == ".parquet" and head.startswith(PARQUET_START):
        return
    for start, (what, fix) in FIRST_BYTES.items():
        if head.lower().startswith(start.lower()):
            raise DataError.at(str(opened.path), f"it is {what}", fix)
    if opened.kind == ".parquet":
        what = "not a Parquet file: it does not begin with PAR1" if head else "no rows, it is empty"
        raise DataError.at(str(opened.path), what, "name it by what it is, or write it again")


@contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """What the system raises over a file, as a DataError.

    Raises:
        DataError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise DataError.at(str(path), what, "check the file and its rights") from error


def _check_kind(path: Path) -> None:
    if is_data_file(path):
        return
    end = suffix(path)
    advice = OTHER_KINDS.get(end)
    if advice:
        raise DataError.at(str(path), f"{end} files are not read", advice)
    what = f"the end of its name, {end!r}, is that of no known kind of data file"
    raise DataError.at(str(path), what, f"use one of {', '.join(KINDS)}, also with .gz or in a .zip")


def _open_archive(path: Path, raw: BinaryIO, stack: ExitStack) -> tuple[str, IO[bytes]]:
    """The kind and the content of the only file in a zip archive."""
    try:
        archive = stack.enter_context(zipfile.ZipFile(raw))
        [inner] = _inner_files(path, archive)
        if suffix(Path(inner.filename)) not in KINDS or inner.filename.lower().endswith(".gz"):
            what = f"the file in it, {inner.filename}, is of no kind that is read from an archive"
            raise DataError.at(str(path), what, f"put one of {', '.join(KINDS)} in it")
        return suffix(Path(inner.filename)), stack.enter_context(archive.open(inner))
    except DAMAGED as error:
        _refuse_damaged(path, error)
    except (RuntimeError, NotImplementedError) as error:
        # A password, or a method of compression that Python does not have.
        raise DataError.at(str(path), f"cannot be unpacked: {error}", "unpack it and give the file itself") from error


def _inner_files(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    # Archives from a Mac hold a shadow of each file.
    shadows = ("__MACOSX/", ".DS_Store")
    inner = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith(shadows)]
    if len(inner) != 1:
        names = ", ".join(one.filename for one in inner[:10]) or "none"
        what = f"an archive of {len(inner)} files ({names}), where one is expected"
        raise DataError.at(str(path), what, "unpack it, and name its files in data.dataset")
    return inner


def _refuse_damaged(path: Path, error: BaseException) -> NoReturn:
    what = f"damaged, or not what its name says: {error}"
    raise DataError.at(str(path), what, "copy or download the file again") from error


class _Unpacking(io.RawIOBase):
    """What comes out of a compressed file, refused where it ends early or never ends."""

    def __init__(self, path: Path, unpacked: IO[bytes], raw: BinaryIO, size: int) -> None:
        """Read from `unpacked`, which itself reads from `raw`, a file of `size` bytes."""
        self._path, self._unpacked, self._raw = path, unpacked, raw
        self._most = max(HARMLESS_BYTES, MOST_RATIO * size)
        self._given = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is; going back means to unpack again."""
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place in the content."""
        self._given = self._unpacked.seek(offset, whence)
        return self._given

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Unpack up to a buffer full."""
        try:
            content = self._unpacked.read(len(buffer))
        except EOFError as error:
            after = f"after {self._given:,} bytes of content"
            what = f"ends early at byte {self._raw.tell():,} of the compressed file, {after}"
            raise DataError.at(str(self._path), what, "copy or download the file again") from error
        except DAMAGED as error:
            _refuse_damaged(self._path, error)
        self._given += len(content)
        if self._given > self._most:
            what = f"grows to more than {MOST_RATIO} times its size when it is unpacked"
            raise DataError.at(str(self._path), what, "see what is in it, and give it unpacked if it is meant so")
        buffer[: len(content)] = content
        return len(content)
