"""Labelled text from local files: CSV, TSV and JSON Lines, plain or gzipped, alone or in a folder by split.

Values are kept as they are written: `007`, `NA` and `null` in a CSV are words.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from forgeml.errors import DataError, Problem
from forgeml.records import Source

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
SUFFIXES = (*DELIMITERS, *JSON_LINES)
SPLIT_NAMES = ("train", "validation", "test")
ROWS_AT_ONCE = 10_000
PROBLEMS_SHOWN = 10

Row = dict[str, Any]


def read_files(dataset: str) -> Source:
    """Read one file, taken as `train`, or a folder with `train.*`, `validation.*` and `test.*`.

    Raises:
        DataError: nothing readable there, or rows that do not fit; the row is named.
    """
    path = Path(dataset).expanduser()
    files = _files_by_split(path)
    return Source(
        name=dataset,
        revision=None,
        tables={split: read_file(file) for split, file in files.items()},
        files={split: str(file) for split, file in files.items()},
        stored=str(path),
        bytes=sum(file.stat().st_size for file in files.values()),
    )


def read_file(path: Path) -> pa.Table:
    """The rows of one file as an Arrow table, every column of it.

    Raises:
        DataError: not readable, or rows that do not fit.
    """
    read_rows = _reader_for(path)
    if read_rows is None:
        raise DataError.at(
            str(path), "not a known kind of data file", f"use one of {', '.join(SUFFIXES)}, also with .gz"
        )
    try:
        with _open_text(path) as lines:
            batches = list(_batches(path, read_rows(path, lines)))
    except UnicodeDecodeError as error:
        raise DataError.at(
            str(path), f"not UTF-8: byte 0x{error.object[error.start]:02x} ({error.reason})", "save the file as UTF-8"
        ) from error
    except (OSError, EOFError) as error:
        raise DataError.at(str(path), f"cannot be read: {error}", "check the file and its rights") from error
    if not batches:
        raise DataError.at(str(path), "no rows", "give a file with a header and at least two labelled texts")
    return _joined(path, batches)


def is_local(dataset: str) -> bool:
    """Whether the name is meant as a path: something is there, or it is written like one."""
    written_as_path = dataset.startswith(("./", "../", "/", "~")) or dataset.endswith((*SUFFIXES, ".gz", "/"))
    return written_as_path or dataset.count("/") > 1 or Path(dataset).exists()


def _files_by_split(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {"train": path}
    if not path.is_dir():
        raise DataError.at("data.dataset", f"no file or folder {path}", f"check the path; {_neighbours(path)}")
    found = [file for file in sorted(path.iterdir()) if _reader_for(file)]
    by_split = {split: [file for file in found if file.name.split(".")[0] == split] for split in SPLIT_NAMES}
    for split, files in by_split.items():
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise DataError.at(str(path), f"several files for {split}: {names}", "keep one of them")
    if not by_split["train"]:
        names = ", ".join(file.name for file in found) or "no data files"
        raise DataError.at(
            str(path), f"no train file in the folder; found {names}", "name one train.csv or train.jsonl"
        )
    return {split: files[0] for split, files in by_split.items() if files}


def _neighbours(path: Path) -> str:
    folder = path.parent
    names = [file.name for file in sorted(folder.iterdir()) if _reader_for(file)] if folder.is_dir() else []
    return f"in {folder} there are {', '.join(names[:PROBLEMS_SHOWN])}" if names else f"{folder} holds no data files"


def _reader_for(path: Path) -> Callable[[Path, IO[str]], Iterator[Row]] | None:
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix in DELIMITERS:
        return _read_csv
    return _read_json_lines if suffix in JSON_LINES else None


def _open_text(path: Path) -> IO[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    stream: IO[str] = opener(path, "rt", encoding="utf-8-sig", newline="")
    return stream


def _read_csv(path: Path, lines: IO[str]) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)
    delimiter = DELIMITERS[Path(path.name.removesuffix(".gz")).suffix.lower()]
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    problems: list[Problem] = []
    try:
        header = next(rows, [])
        _check_header(path, header)
        for number, row in enumerate(rows, start=1):
            if len(row) == len(header):
                yield dict(zip(header, row, strict=True))
            elif row:
                problems.append(_wrong_width(path, number, rows.line_num, len(row), len(header)))
                _raise_if(problems, at_least=PROBLEMS_SHOWN)
    except csv.Error as error:
        problems.append(Problem(f"{path}:{rows.line_num}", str(error), "check the quotes in and before this line"))
    _raise_if(problems)


def _check_header(path: Path, header: list[str]) -> None:
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise DataError.at(
            f"{path}:1", f"two columns are called {', '.join(repeated)}", "give each column its own name"
        )


def _wrong_width(path: Path, number: int, line: int, found: int, wanted: int) -> Problem:
    return Problem(
        f"{path}:{line} (row {number})",
        f"{found} fields where the header has {wanted}",
        'put texts that hold the delimiter or a line break in double quotes, and write " inside them as ""',
    )


def _read_json_lines(path: Path, lines: IO[str]) -> Iterator[Row]:
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            problems.append(Problem(f"{path}:{number}", f"not JSON: {error}", "write one JSON object a line"))
        else:
            if isinstance(row, dict):
                yield row
            else:
                what = f"a JSON {type(row).__name__}, not an object"
                problems.append(
                    Problem(f"{path}:{number}", what, 'write one object a line: {"text": ..., "label": ...}')
                )
        _raise_if(problems, at_least=PROBLEMS_SHOWN)
    _raise_if(problems)


def _raise_if(problems: list[Problem], at_least: int = 1) -> None:
    if len(problems) >= at_least:
        raise DataError(problems)


def _batches(path: Path, rows: Iterator[Row]) -> Iterator[pa.Table]:
    """Rows as small Arrow tables, so that at no time all of them are Python objects."""
    waiting: list[Row] = []
    done = 0
    for row in rows:
        waiting.append(row)
        if len(waiting) == ROWS_AT_ONCE:
            yield _table(path, waiting, done)
            done += len(waiting)
            waiting = []
    if waiting:
        yield _table(path, waiting, done)


def _table(path: Path, rows: list[Row], before: int) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    columns: Mapping[str, pa.Array] = {
        name: _column(path, name, [row.get(name) for row in rows], before) for name in names
    }
    return pa.table(columns)


def _column(path: Path, name: str, values: list[Any], before: int) -> pa.Array:
    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        kinds = {type(value).__name__: row for row, value in reversed(list(enumerate(values, start=before + 1)))}
        seen = ", ".join(f"{kind} in row {row}" for kind, row in kinds.items())
        raise DataError.at(f"{path} column {name}", f"values of several kinds: {seen}", "write one kind") from error
    # Offsets of 32 bits end at 2 GB of text in one array.
    return array.cast(pa.large_string()) if pa.types.is_string(array.type) else array


def _joined(path: Path, batches: list[pa.Table]) -> pa.Table:
    try:
        return pa.concat_tables(batches, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError.at(
            str(path), f"a column changes its kind of values: {error}", "write one kind a column"
        ) from error
