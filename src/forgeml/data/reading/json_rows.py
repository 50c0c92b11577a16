"""Rows of JSON files: objects, one a line, or all in one array, which may stand under a key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

from forgeml.errors import DataError, Problem, nearest

UNUSABLE = b"unusable"
"""Metadata of a column that has no values: the reason. It matters only to who asks for that column."""

ROW_FIX = 'write rows as objects: {"text": "...", "label": "..."}'
FILE_FIX = "write one array of objects, or one object a line"
KINDS: Mapping[type, str] = {str: "text", int: "number", float: "number", bool: "true/false", list: "list", dict: "map"}

BLOCK = 2**20
"""Characters that are read at once."""
LONGEST = 2**27
"""Characters of a single value beyond which it is taken for one that never ends."""
NEAR_END = 64
"""An error so few characters before the end of what has been read may come of the cut."""

Record = tuple[int, dict[str, Any]] | Problem
"""The line, counted from 1, or 0 for an item of an array, and its object; or what is wrong there."""


def read_records(path: Path, lines: IO[str]) -> Iterator[Record]:
    """The objects of all lines that are not blank."""
    for number, line in enumerate(lines, start=1):
        if not line.isspace():
            row, what = _decoded(line)
            yield (number, row) if what is None else Problem(f"{path}:{number}", what, ROW_FIX)


def read_array(path: Path, lines: IO[str], field: str | None = None) -> Iterator[Record]:
    """The objects of one JSON array; or of JSON Lines, where the file holds those.

    Args:
        path: of the file, for messages.
        lines: the file from its beginning; it must be able to go back there.
        field: key under which the array stands; None if the file itself is the array.

    Raises:
        DataError: the file is not JSON, or holds no array where it should.
    """
    window = _Window(path, lines)
    first = window.skip_blanks()
    if field is not None:
        _enter_field(window, field)
        yield from _items(window)
    elif first == "[":
        yield from _items(window)
        if window.skip_blanks():
            window.refuse("not JSON: something stands behind the array", window.at)
    else:
        if first == "{":
            _refuse_lone_object(window)
        lines.seek(0)
        yield from read_records(path, lines)


class _Window:
    """A part of a long text of JSON that moves on as its values are read."""

    def __init__(self, path: Path, lines: IO[str]) -> None:
        self.path, self._lines = path, lines
        self.text, self.at, self.ended = "", 0, False
        self._lines_before, self._column_before = 0, 0

    def skip_blanks(self) -> str:
        """Move to the next character that is no blank and give it; an empty string at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._grow(BLOCK):
                return ""

    def expect(self, character: str) -> None:
        """Move over a character that has to be there."""
        if self.skip_blanks() != character:
            self.refuse(f"not JSON: Expecting {character!r}", self.at)
        self.at += 1

    def value(self) -> Any:  # noqa: ANN401
        """Read the value that begins here and move over it."""
        self.skip_blanks()
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos > len(self.text) - NEAR_END
                behind = error.pos - self.at
                if not (cut and self._grow(len(self.text))):
                    self.refuse(f"not JSON: {error.msg}", self.at + behind)
            except (RecursionError, ValueError) as error:
                self.refuse(_reason(error), self.at)
            else:
                if end < len(self.text) or not self._grow(len(self.text)):
                    self.at = end
                    return value

    def refuse(self, what: str, at: int) -> NoReturn:
        """Raise what is wrong with the place, line and column, of a character."""
        line = self._lines_before + self.text.count("\n", 0, at) + 1
        begun = self.text.rfind("\n", 0, at)
        column = at - begun if begun >= 0 else self._column_before + at + 1
        raise DataError.at(f"{self.path}:{line}", f"{what} (line {line}, column {column})", FILE_FIX)

    def _grow(self, characters: int) -> bool:
        """Read on, and forget what lies behind; whether there was anything more."""
        behind = self.text[: self.at]
        if "\n" in behind:
            self._lines_before += behind.count("\n")
            self._column_before = len(behind) - behind.rfind("\n") - 1
        else:
            self._column_before += len(behind)
        self.text, self.at = self.text[self.at :], 0
        if len(self.text) > LONGEST:
            self.refuse(f"a value of more than {LONGEST:,} characters", 0)
        more = self._lines.read(max(characters, BLOCK))
        self.text += more
        return bool(more)


def _items(window: _Window) -> Iterator[Record]:
    """The items of the array that begins here, in an array that may be larger than memory."""
    window.expect("[")
    number, more = 0, window.skip_blanks() != "]"
    while more:
        number += 1
        row = window.value()
        wrong = _not_a_row(row)
        yield (0, row) if wrong is None else Problem(f"{window.path} item {number}", wrong, ROW_FIX)
        more = window.skip_blanks() == ","
        window.at += more
    window.expect("]")


def _enter_field(window: _Window, field: str) -> None:
    """Move to the array under the key, past the other keys of the one object that the file is."""
    if window.skip_blanks() != "{":
        what = f"{field!r} is set, but {window.path} is not one object with keys"
        raise DataError.at("data.field", what, "leave it out")
    keys: list[str] = []
    window.expect("{")
    while window.skip_blanks() == '"':
        keys.append(window.value())
        window.expect(":")
        if keys[-1] == field:
            if window.skip_blanks() != "[":
                what = f"what stands under {field!r} in {window.path} is no array"
                raise DataError.at("data.field", what, "name the key of the array of rows")
            return
        window.value()
        if window.skip_blanks() == ",":
            window.at += 1
    window.expect("}")
    close = nearest(field, keys)
    fix = f"did you mean {close}?" if close else "set it to the key of the array of rows"
    what = f"no key {field!r} in {window.path}; it has {', '.join(map(repr, keys[:20])) or 'none'}"
    raise DataError.at("data.field", what, fix)


def _refuse_lone_object(window: _Window) -> None:
    """Refuse a file that is one object with its rows under a key; lines of objects pass."""
    try:
        value = window.value()
    except DataError:
        # Too long, or not JSON, which is told with its line when the lines are read.
        if len(window.text) > LONGEST:
            _refuse_rows_under(window, re.findall(r'"([^"\\]+)"\s*:\s*\[\s*\{', window.text[:BLOCK])[:1])
        return
    if not window.skip_blanks():
        _refuse_rows_under(window, [key for key, rows in value.items() if _are_objects(rows)])


def _refuse_rows_under(window: _Window, keys: Sequence[str]) -> None:
    if keys:
        what = f"one object with a list under {', '.join(map(repr, keys))}, not an array of rows"
        raise DataError.at(str(window.path), what, f"set data.field: {keys[0]}")


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _decoded(line: str) -> tuple[Any, str | None]:
    """The object in the line, and what is wrong with it if anything is."""
    try:
        row = DECODER.decode(line.strip())
    except json.JSONDecodeError as error:
        return (), f"not JSON: {error.msg} (column {error.colno})"
    except (RecursionError, ValueError) as error:
        return (), _reason(error)
    return row, _not_a_row(row)


def _not_a_row(row: object) -> str | None:
    if not isinstance(row, dict):
        return f"a JSON {KINDS.get(type(row), 'null')}, not an object"
    return None if row else "an empty object"


class _UnfitError(ValueError):
    """What Python's decoder takes and a file of rows must not have."""


def _reason(error: RecursionError | ValueError) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    # Python bounds the digits of numbers, whose conversion would take very long.
    return str(error) if isinstance(error, _UnfitError) else "a number of too many digits"


def _refuse_constant(name: str) -> NoReturn:
    raise _UnfitError(f"not JSON: {name} is no number there")


def _as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        raise _UnfitError(f"the key {next(name for name in names if names.count(name) > 1)!r} stands there twice")
    return row


DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_as_object)
