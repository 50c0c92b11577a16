"""Rows with their answers as bytes, chunk after chunk, for each kind of file."""

from __future__ import annotations

import base64
import csv
import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from forgeml.errors import DataError
from forgeml.inference.files.chunks import Chunk
from forgeml.inference.files.formulas import is_formula
from forgeml.inference.files.late import module_for

Answers = Mapping[str, Sequence[Any]]
"""The values of each added column, a row for each row of the chunk."""


@dataclass(frozen=True)
class Layout:
    """How the output is laid out."""

    names: Sequence[str]
    """Columns of the input, where a kind of file has the same ones throughout."""
    added: Mapping[str, str]
    """Name and kind of each added column."""
    delimiter: str = ","
    escape: bool = True
    """Whether cells that a spreadsheet would run get an apostrophe in front."""
    label_separator: str = ","
    """Between several labels in one cell."""


class Encoder(Protocol):
    """Makes bytes of chunks."""

    @property
    def memory(self) -> Mapping[str, str]:
        """What has to be known to go on later."""

    @property
    def escaped(self) -> int:
        """How many cells of the columns of the input got an apostrophe in front."""

    def piece(self, chunk: Chunk, answers: Answers) -> bytes:
        """The bytes of some more rows."""

    def end(self) -> bytes:
        """The bytes behind the last row."""


@dataclass
class Delimited:
    """CSV and TSV: UTF-8, a line feed behind each row, quotes where they are needed."""

    layout: Layout
    begun: bool
    memory: dict[str, str] = field(default_factory=dict)
    escaped: int = 0

    def piece(self, chunk: Chunk, answers: Answers) -> bytes:
        """Lines of fields; before the first ones the header.

        Raises:
            DataError: a column that the header has not, or a value that cannot be written.
        """
        check_names(chunk, self.layout.names)
        lines = _Lines()
        # The writer quotes a lone carriage return only if its own line ends hold one; readers need that.
        write = csv.writer(lines, delimiter=self.layout.delimiter, lineterminator="\r\n").writerow
        if not self.begun:
            write([*map(self._own, self.layout.names), *map(self._safe, self.layout.added)])
            self.begun = True
        before = len(lines.lines)
        for place, (row, *more) in enumerate(zip(chunk.rows(), *answers.values(), strict=True)):
            try:
                cells = [_cell(row.get(name)) for name in self.layout.names]
                added = list(map(self._added, more))
            except ValueError as error:
                raise _no_number(chunk, place) from error
            write([*map(self._own, cells), *added])
        return _in_bytes(lines.lines, chunk, before)

    def end(self) -> bytes:
        """Nothing."""
        return b""

    def _added(self, value: Any) -> str:  # noqa: ANN401
        joined = self.layout.label_separator.join(value) if isinstance(value, list) else value
        return self._safe(_cell(joined))

    def _own(self, cell: str) -> str:
        safe = self._safe(cell)
        self.escaped += safe is not cell
        return safe

    def _safe(self, cell: str) -> str:
        return f"'{cell}" if self.layout.escape and is_formula(cell) else cell


@dataclass
class JsonLines:
    """One object a line, with the keys of its own row."""

    layout: Layout
    begun: bool
    memory: dict[str, str] = field(default_factory=dict)
    escaped: int = 0

    def piece(self, chunk: Chunk, answers: Answers) -> bytes:
        """Lines of JSON."""
        return "".join(f"{row}\n" for row in _objects(chunk, answers)).encode()

    def end(self) -> bytes:
        """Nothing."""
        return b""


@dataclass
class JsonArray:
    """One array, with an object on each line."""

    layout: Layout
    begun: bool
    memory: dict[str, str] = field(default_factory=dict)
    escaped: int = 0

    def piece(self, chunk: Chunk, answers: Answers) -> bytes:
        """Some more items."""
        start, self.begun = ",\n" if self.begun else "[\n", True
        return (start + ",\n".join(_objects(chunk, answers))).encode()

    def end(self) -> bytes:
        """The end of the array."""
        return b"\n]\n"


@dataclass
class Packed:
    """What another one makes, each piece compressed by itself so that writing can go on behind any of them."""

    inner: Encoder

    @property
    def memory(self) -> Mapping[str, str]:
        """That of the other one."""
        return self.inner.memory

    @property
    def escaped(self) -> int:
        """That of the other one."""
        return self.inner.escaped

    def piece(self, chunk: Chunk, answers: Answers) -> bytes:
        """A member of a gzip file."""
        return gzip.compress(self.inner.piece(chunk, answers), mtime=0)

    def end(self) -> bytes:
        """The last member, if there is anything in it."""
        last = self.inner.end()
        return gzip.compress(last, mtime=0) if last else b""


ENCODERS: Mapping[str, Callable[[Layout, bool], Encoder]] = {
    ".csv": Delimited,
    ".tsv": Delimited,
    ".json": JsonArray,
    ".jsonl": JsonLines,
}


def encoder_for(kind: str, packed: bool, layout: Layout, begun: bool, memory: Mapping[str, str]) -> Encoder:
    """What makes the bytes of a file.

    Args:
        kind: that of the file.
        packed: whether it is compressed with gzip.
        layout: columns and cells.
        begun: whether a part is written already.
        memory: what the encoder of that part knew.
    """
    if kind == ".parquet":
        return cast(Encoder, module_for(kind).Pieces(layout, dict(memory)))
    encoder = ENCODERS[kind](layout, begun)
    return Packed(encoder) if packed else encoder


def finisher_for(kind: str) -> Callable[[Path, Path, Layout, Mapping[str, str]], None] | None:
    """What makes the file of the pieces, for a kind that cannot be written piece by piece."""
    return (
        cast("Callable[[Path, Path, Layout, Mapping[str, str]], None]", module_for(kind).merge)
        if kind == ".parquet"
        else None
    )


def check_names(chunk: Chunk, names: Sequence[str]) -> None:
    """Refuse rows with a column that the first ones have not, where all have the same ones.

    Raises:
        DataError: with the first such row.
    """
    new = set(chunk.names).difference(names)
    if new:
        row, name = next((row, name) for row, values in enumerate(chunk.rows()) for name in values if name in new)
        what = f"a key {name!r} that the first rows have not, so there is no column for it"
        raise DataError.at(chunk.locate(row), what, "write JSON Lines, where each row has its own keys")


def as_json(value: Any) -> str:  # noqa: ANN401
    """A value as JSON, with letters as they are.

    Raises:
        ValueError: a number that JSON has not.
    """
    return _JSON.encode(value)


def _objects(chunk: Chunk, answers: Answers) -> Iterable[str]:
    for place, (row, *more) in enumerate(zip(chunk.rows(), *answers.values(), strict=True)):
        values = {**row, **dict(zip(answers, more, strict=True))}
        try:
            text = _JSON.encode(values)
        except ValueError as error:
            raise _no_number(chunk, place) from error
        yield text if text.isascii() or _encodable(text) else _ASCII_JSON.encode(values)


def _no_number(chunk: Chunk, place: int) -> DataError:
    what = "a number that is too large, or is none"
    return DataError.at(chunk.locate(place), what, "write it as a text, or leave it out")


def _cell(value: Any) -> str:  # noqa: ANN401
    """A value as it stands in a field.

    Raises:
        ValueError: a number that JSON has not.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    # JSON spells numbers as Python does, and refuses the infinite ones.
    return as_json(value) if isinstance(value, bool | int | float | list | dict) else _plain(value)


def _plain(value: object) -> str:
    """Values of Parquet that JSON has no words for: bytes as text or in base 64, dates and decimals as they print."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return str(value)


_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_plain)
_ASCII_JSON = json.JSONEncoder(allow_nan=False, default=_plain)


class _Lines:
    """Takes what the csv module writes, one row at a time."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        self.lines.append(line.removesuffix("\r\n") + "\n")


def _in_bytes(lines: Sequence[str], chunk: Chunk, before: int) -> bytes:
    try:
        return "".join(lines).encode()
    except UnicodeEncodeError:
        place = next(place for place, line in enumerate(lines) if not _encodable(line))
        what = "half a character (a lone surrogate), which only JSON can spell"
        raise DataError.at(chunk.locate(max(0, place - before)), what, "write JSON Lines, or mend the row") from None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
