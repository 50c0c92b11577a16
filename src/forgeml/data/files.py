"""Labelled text from local files: CSV, TSV and JSON, plain or gzipped, alone or in a folder by split."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import BufferedReader, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from forgeml.data import delimited, json_rows
from forgeml.errors import DataError, Problem, nearest
from forgeml.hub.names import written_as_path
from forgeml.records import Source

READERS: dict[str, Callable[[Path, IO[str]], Iterator[tuple[int, Any] | Problem]]] = {
    ".csv": partial(delimited.read_records, delimiter=","),
    ".tsv": partial(delimited.read_records, delimiter="\t"),
    ".jsonl": json_rows.read_records,
    ".ndjson": json_rows.read_records,
    ".json": json_rows.read_array,
}
"""By the end of the name, without .gz; the first record of a delimited file is its header."""
DELIMITED = (".csv", ".tsv")

SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
"""What the file of each split may be called, letter case aside."""

FIRST_BYTES = {
    b"\x1f\x8b": ("gzip-compressed", "add .gz to its name"),
    b"PAR1": ("a Parquet file", "write it as CSV or JSON Lines"),
    b"PK\x03\x04": ("a zip archive or an Excel workbook", "export it as CSV, encoded in UTF-8"),
    b"\xff\xfe": ("encoded in UTF-16", "save it as UTF-8"),
    b"\xfe\xff": ("encoded in UTF-16", "save it as UTF-8"),
    b"version https://git-lfs": ("a pointer of git-lfs, not the data", "run git lfs pull"),
    b"<!doctype": ("a web page", "download the file itself, not the page about it"),
    b"<html": ("a web page", "download the file itself, not the page about it"),
}
"""Files of other kinds under a known name: what they are and what to do."""

TRAIN_FILE_FIX = "name one train.csv or train.jsonl, or set data.dataset to one file"

ROWS_AT_ONCE = 10_000
PROBLEMS_SHOWN = 10


def read_files(dataset: str) -> Source:
    """Read one file, taken as `train`, or a folder with `train.*`, `validation.*` and `test.*`.

    Raises:
        DataError: nothing readable there, or rows that do not fit; line and row are named.
    """
    path = Path(os.path.expanduser(dataset))
    files = _files_by_split(path, dataset)
    return Source(
        name=dataset,
        revision=None,
        tables={split: read_file(file) for split, file in files.items()},
        files={split: str(file) for split, file in files.items()},
        stored=str(path),
        bytes=sum(os.path.getsize(file) for file in files.values()),
    )


def read_file(path: Path) -> pa.Table:
    """The rows of one file as an Arrow table, every column of it.

    Raises:
        DataError: not readable, or rows that do not fit; up to ten of them are named together.
    """
    read_records = READERS.get(_suffix(path))
    if read_records is None:
        known = ", ".join(READERS)
        raise DataError.at(str(path), "not a known kind of data file", f"use one of {known}, also with .gz")
    with _reading_errors(path):
        _check_first_bytes(path)
        try:
            with _open(path) as lines:
                table = _as_table(path, _without_problems(read_records(path, lines)))
        except UnicodeDecodeError as error:
            raise _not_utf8(path) from error
    if not len(table):
        raise DataError.at(str(path), "no rows", "give a file with at least a few labelled texts of every class")
    return table


def lines_of(path: Path, rows: Sequence[int]) -> dict[int, int]:
    """The line on which each of the rows begins, counted from 1; rows are counted from 0 as in `read_file`.

    The file is read again: only messages need this.
    """
    wanted = set(rows)
    before = 1 if _suffix(path) in DELIMITED else 0
    with _open(path) as lines:
        records = islice(_without_problems(READERS[_suffix(path)](path, lines)), before, max(wanted) + before + 1)
        return {row: line for row, (line, _) in enumerate(records) if row in wanted}


def is_local(dataset: str) -> bool:
    """Whether the name is meant as a path: something is there, or it is written like one."""
    if "://" in dataset:
        # An address; the hub says which part of it is the name.
        return False
    # A folder that only happens to have the name of a data set on the hub, as an output folder may, is not meant.
    path = Path(dataset)
    return written_as_path(dataset) or _is_data_file(path) or os.path.isfile(path) or _has_train_file(path)


def lack(folder: Path) -> tuple[str, str]:
    """What keeps a folder without a train file from being a data set, and what to do about it."""
    return f"no train file; found {_found(_data_files(folder))}", TRAIN_FILE_FIX


def _files_by_split(path: Path, dataset: str) -> dict[str, Path]:
    if os.path.isfile(path):
        return {"train": path}
    if not os.path.isdir(path):
        what = "neither a file nor a folder" if os.path.exists(path) else f"no file or folder {dataset}"
        raise DataError.at("data.dataset", what, _missing_fix(path, dataset))
    found = _data_files(path)
    by_split = {split: [file for file in found if _stem(file) in names] for split, names in SPLIT_NAMES.items()}
    for split, files in by_split.items():
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise DataError.at(str(path), f"several files for {split}: {names}", "keep one of them")
    if not by_split["train"]:
        raise DataError.at(str(path), f"no train file in the folder; found {_found(found)}", TRAIN_FILE_FIX)
    return {split: files[0] for split, files in by_split.items() if files}


def _has_train_file(folder: Path) -> bool:
    return os.path.isdir(folder) and any(_stem(file) in SPLIT_NAMES["train"] for file in _data_files(folder))


def _missing_fix(path: Path, dataset: str) -> str:
    """Where it may be instead: a file of a like name, the files beside it, or the hub."""
    beside = _data_files(path.parent) if os.path.isdir(path.parent) else []
    close = nearest(path.name, [file.name for file in beside])
    if close:
        return f"did you mean {path.with_name(close)}? in {path.parent} there are {_listed(beside)}"
    hint = f"in {path.parent} there are {_listed(beside)}" if beside else f"{path.parent} holds no data files"
    on_hub = dataset.strip("/")
    meant_hub = dataset.endswith("/") and dataset[0] not in "./~" and on_hub.count("/") < 2
    return f"check the path; {hint}" + (f"; the data set on the hub is {on_hub}, without the last /" * meant_hub)


def _data_files(folder: Path) -> list[Path]:
    try:
        return [file for file in sorted(folder.iterdir()) if _is_data_file(file) and os.path.isfile(file)]
    except OSError as error:
        what = f"cannot be listed: {error.strerror or error}"
        raise DataError.at(str(folder), what, "check the folder and its rights") from error


def _listed(files: Sequence[Path]) -> str:
    more = f" and {len(files) - PROBLEMS_SHOWN} more" if len(files) > PROBLEMS_SHOWN else ""
    return ", ".join(file.name for file in files[:PROBLEMS_SHOWN]) + more


def _found(files: Sequence[Path]) -> str:
    return _listed(files) or "no data files"


def _is_data_file(path: Path) -> bool:
    return _suffix(path) in READERS


def _suffix(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _stem(path: Path) -> str:
    return path.name.lower().removesuffix(".gz").removesuffix(_suffix(path))


def _open_bytes(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else open(path, "rb")


def _open(path: Path) -> TextIOWrapper:
    return TextIOWrapper(_open_bytes(path), encoding="utf-8-sig", newline="")


@contextmanager
def _reading_errors(path: Path) -> Iterator[None]:
    """What the system and the decompression raise, as a DataError."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        what = "the compressed data end early" if isinstance(error, EOFError) else f"damaged, or not gzip: {error}"
        raise DataError.at(str(path), what, "copy or download the file again") from error
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise DataError.at(str(path), what, "check the file and its rights") from error


def _check_first_bytes(path: Path) -> None:
    with _open_bytes(path) as stream:
        head = stream.read(64)
    for start, (what, fix) in FIRST_BYTES.items():
        if head.lower().startswith(start.lower()):
            raise DataError.at(str(path), f"it is {what}", fix)
    if b"\0" in head:
        raise DataError.at(str(path), "NUL bytes at its beginning: UTF-16, or no text", "save the file as UTF-8 text")


def _not_utf8(path: Path) -> DataError:
    """The error with the place of the first bad byte; the decoder itself knows only the place in its buffer."""
    number, before = 0, 0
    with _open_bytes(path) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                bad = line[error.start : error.start + 1]
                what = f"not UTF-8: byte 0x{bad.hex()} at offset {before + error.start} ({error.reason})"
                guess = bad.decode("cp1252", errors="ignore")
                reads = f"; in Windows-1252 it is {guess!r}" if guess.isprintable() and guess else ""
                fix = f"save the file as UTF-8, for instance with: iconv -f WINDOWS-1252 -t UTF-8 {path.name}"
                return DataError.at(f"{path}:{number}", what + reads, fix)
            before += len(line)
    return DataError.at(f"{path}:{number}", "not UTF-8", "save the file as UTF-8")


def _without_problems(records: Iterator[tuple[int, Any] | Problem]) -> Iterator[tuple[int, Any]]:
    """The rows; the first problems are collected, so that they are read together."""
    problems: list[Problem] = []
    for record in records:
        if not isinstance(record, Problem):
            yield record
            continue
        problems.append(record)
        if len(problems) == PROBLEMS_SHOWN:
            break
    if problems:
        raise DataError(problems)


def _as_table(path: Path, records: Iterator[tuple[int, Any]]) -> pa.Table:
    if _suffix(path) not in DELIMITED:
        return json_rows.as_table(path, _chunks(records))
    _, header = next(records, (1, []))
    return delimited.as_table((rows for _, rows in _chunks(records)), header)


def _chunks(records: Iterator[tuple[int, Any]]) -> Iterator[tuple[Sequence[int], Sequence[Any]]]:
    """Line numbers and rows of some records at a time, so that never all of them are Python objects."""
    while chunk := list(islice(records, ROWS_AT_ONCE)):
        lines, rows = zip(*chunk, strict=True)
        yield lines, rows
