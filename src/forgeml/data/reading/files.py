"""Labelled text from local files, as one source."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import pyarrow as pa

from forgeml.config.schema import DataConfig
from forgeml.data.reading.decoding import check_encoding
from forgeml.data.reading.file_rows import FileRows, OnProgress, ignore, read_file
from forgeml.data.reading.json_rows import UNUSABLE
from forgeml.data.reading.opening import ARCHIVE, DELIMITED, suffix
from forgeml.data.reading.places import MOST_SHOWN, find_files
from forgeml.data.reading.stored import fit
from forgeml.errors import DataError
from forgeml.records import Source


def read_files(data: DataConfig, on_progress: OnProgress = ignore) -> Source:
    """Read the local files that `data.dataset` means, each split's as one table.

    Args:
        data: `dataset`, and `delimiter`, `encoding`, `field` and `on_bad_rows` for how files are read.
        on_progress: told of each file what has been read of it, in bytes.

    Raises:
        ConfigError: there is no such encoding.
        DataError: nothing readable there, or rows that do not fit; line and row are named.
    """
    check_encoding(data.encoding)
    places = find_files(data.dataset)
    files = [file for paths in places.files.values() for file in paths]
    _check_settings(data, files)
    parts = {split: [read_file(file, data, on_progress) for file in paths] for split, paths in places.files.items()}
    notes = [note for rows in parts.values() for one in rows for note in one.notes]
    if places.unused:
        more = f" and {len(places.unused) - MOST_SHOWN} more" if len(places.unused) > MOST_SHOWN else ""
        notes.append(f"not used: {', '.join(file.name for file in places.unused[:MOST_SHOWN])}{more}")
    return Source(
        name=_name(data.dataset),
        revision=None,
        tables={split: _join(rows) for split, rows in parts.items()},
        files={split: [str(file) for file in paths] for split, paths in places.files.items()},
        locate=_Places(parts),
        stored=str(places.folder),
        bytes=sum(os.path.getsize(file) for file in files),
        notes=tuple(notes),
    )


class _Places:
    """Where the rows of each split stand in its files."""

    def __init__(self, parts: Mapping[str, Sequence[FileRows]]) -> None:
        self._parts = parts
        self._ends = {split: list(accumulate(len(one.table) for one in rows)) for split, rows in parts.items()}

    def __call__(self, split: str, row: int) -> str:
        """The place of a row, counted from 0, of a split."""
        part = bisect_right(self._ends[split], row)
        return self._parts[split][part].locate(row - (self._ends[split][part - 1] if part else 0))


def _name(dataset: str | Mapping[str, str]) -> str:
    if isinstance(dataset, str):
        return dataset
    return "{" + ", ".join(f"{split}: {pattern}" for split, pattern in dataset.items()) + "}"


def _check_settings(data: DataConfig, files: Sequence[Path]) -> None:
    """Refuse settings that none of the files has a use for; passing over them would hide a slip."""
    # What is in an archive is seen only when it is opened.
    kinds = {suffix(file) for file in files}
    uses = {
        "delimiter": (data.delimiter, DELIMITED, "CSV or TSV"),
        "field": (data.field, (".json",), ".json"),
        "encoding": (data.encoding, (*DELIMITED, ".json", ".jsonl", ".ndjson"), "text"),
    }
    for name, (value, served, words) in uses.items():
        if value is not None and not kinds & {*served, ARCHIVE}:
            what = f"{value!r} is set, but no file is {words}: {', '.join(file.name for file in files[:MOST_SHOWN])}"
            raise DataError.at(f"data.{name}", what, "leave it out")


def _join(rows: Sequence[FileRows]) -> pa.Table:
    """One table of several files with the same columns."""
    first = rows[0].table
    if len(rows) == 1:
        return first
    for other in rows[1:]:
        _check_columns(rows[0], other)
    schema = pa.schema([_common_field(name, rows) for name in first.column_names])
    return pa.concat_tables([fit(one.table, schema) for one in rows])


def _check_columns(first: FileRows, other: FileRows) -> None:
    wanted, found = first.table.column_names, other.table.column_names
    lacks, has = [name for name in wanted if name not in found], [name for name in found if name not in wanted]
    if lacks or has:
        parts = [f"lacks {', '.join(map(repr, lacks))}"] * bool(lacks) + [f"has {', '.join(map(repr, has))}"] * bool(
            has
        )
        what = f"other columns than {first.path}: it {' and '.join(parts)}"
        raise DataError.at(str(other.path), what, "give all files of a split the same columns")


def _common_field(name: str, rows: Sequence[FileRows]) -> pa.Field:
    """The field that holds the column of all files; unusable where one is, or where kinds do not fit together."""
    fields = [one.table.schema.field(name) for one in rows]
    reasons = [field.metadata[UNUSABLE] for field in fields if UNUSABLE in (field.metadata or {})]
    if reasons:
        return pa.field(name, pa.null(), metadata={UNUSABLE: reasons[0]})
    try:
        unified = pa.unify_schemas([pa.schema([field]) for field in fields], promote_options="permissive")
    except pa.ArrowException:
        listed = ", ".join(f"{field.type} in {one.path.name}" for field, one in zip(fields, rows, strict=True))
        return pa.field(name, pa.null(), metadata={UNUSABLE: f"values of several kinds: {listed}"})
    return unified.field(0)
