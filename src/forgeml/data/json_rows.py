"""Rows of JSON files: objects, one a line or all in one array; their keys are the columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import IO, Any, NoReturn

import pyarrow as pa

from forgeml.errors import DataError, Problem

MOST_COLUMNS = 1000

ROW_FIX = 'write rows as objects: {"text": "...", "label": "..."}'
UNUSABLE = b"unusable"
"""Metadata of a column that has no values: the reason. It matters only to who asks for that column."""

# Numbers with and without a fraction may stand in one column; other kinds may not be mixed.
KINDS: Mapping[type, str] = {str: "text", int: "number", float: "number", bool: "true/false", list: "list", dict: "map"}
ARROW_KINDS: Mapping[frozenset[type], pa.DataType] = {
    # Offsets of 32 bits end at 2 GB of text.
    frozenset([str]): pa.large_string(),
    frozenset([bool]): pa.bool_(),
    frozenset([int]): pa.int64(),
    frozenset([float]): pa.float64(),
    frozenset([int, float]): pa.float64(),
}

Record = tuple[int, dict[str, Any]] | Problem
"""The line, counted from 1, and its object; or what is wrong there."""


def read_records(path: Path, lines: IO[str]) -> Iterator[Record]:
    """The objects of all lines that are not blank."""
    for number, line in enumerate(lines, start=1):
        if not line.isspace():
            row, what = _decoded(line)
            yield (number, row) if what is None else Problem(f"{path}:{number}", what, ROW_FIX)


def read_array(path: Path, lines: IO[str]) -> Iterator[Record]:
    """The objects of one JSON array, by their place in it; or of JSON Lines, where the file holds those."""
    text = lines.read()
    if not text.lstrip().startswith("["):
        yield from read_records(path, StringIO(text))
        return
    rows, what = _parsed(text)
    if what is not None:
        yield Problem(str(path), what, "write one array of objects, or one object a line")
    for number, row in enumerate(rows, start=1):
        wrong = _not_a_row(row)
        yield (number, row) if wrong is None else Problem(f"{path} item {number}", wrong, ROW_FIX)


def as_table(path: Path, chunks: Iterable[tuple[Sequence[int], Sequence[dict[str, Any]]]]) -> pa.Table:
    """The keys as columns, null where an object lacks one.

    A column that holds lists, maps, values of several kinds or values that Arrow cannot take is all null, and its
    field says why under `UNUSABLE`.

    Args:
        path: of the file, for messages.
        chunks: line numbers and objects of some rows at a time.

    Raises:
        DataError: hardly two rows have the same keys.
    """
    kinds: dict[str, dict[str, int]] = {}
    reasons: dict[str, str] = {}
    tables: list[pa.Table] = []
    for lines, rows in chunks:
        columns: dict[str, pa.Array] = {}
        for name in dict.fromkeys(chain.from_iterable(rows)):
            if name not in kinds:
                _check_name(f"{path}:{lines[0]}-{lines[-1]}", name, len(kinds))
            values = [row.get(name) for row in rows]
            _note_kinds(kinds.setdefault(name, {}), values, lines)
            columns[name] = _array(name, values, lines, reasons)
        tables.append(pa.table(columns))
    return _joined(tables, reasons | _mixed(kinds))


def _decoded(line: str) -> tuple[Any, str | None]:
    """The object in the line, and what is wrong with it if anything is."""
    row, what = _parsed(line)
    return row, what or _not_a_row(row)


def _parsed(text: str) -> tuple[Any, str | None]:
    """The JSON value of a text, and what is wrong if it has none; the value is then empty."""
    try:
        return DECODER.decode(text.strip()), None
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        return (), f"not JSON: {error.msg} ({line}column {error.colno})"
    except _NotANumberError as error:
        return (), f"not JSON: {error} is no number there"
    except RecursionError:
        return (), "nested too deeply"
    except ValueError:
        # Python's bound against numbers whose conversion would take very long.
        return (), "a number of too many digits"


def _not_a_row(row: object) -> str | None:
    if not isinstance(row, dict):
        return f"a JSON {KINDS.get(type(row), 'null')}, not an object"
    return None if row else "an empty object"


class _NotANumberError(ValueError):
    """NaN or an infinity, which Python's decoder takes and JSON does not have."""


def _refuse_constant(name: str) -> NoReturn:
    raise _NotANumberError(name)


DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _check_name(where: str, name: str, names: int) -> None:
    if names == MOST_COLUMNS:
        raise DataError.at(where, f"more than {MOST_COLUMNS} different keys", "give all objects the same keys")
    if not _encodable(name):
        raise DataError.at(where, f"the key {name!r} holds half a character", "write the key as Unicode text")


def _note_kinds(seen: dict[str, int], values: Sequence[Any], lines: Sequence[int]) -> None:
    """Add to `seen` the line on which each kind of value stands first."""
    for kind in set(map(type, values)) - {type(None)}:
        first = next(line for line, value in zip(lines, values, strict=True) if type(value) is kind)
        seen[KINDS[kind]] = min(first, seen.get(KINDS[kind], first))


def _mixed(kinds: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    """Why a column has no values, for those with more than one kind of them and those with lists or maps."""
    reasons: dict[str, str] = {}
    for name, seen in kinds.items():
        listed = ", ".join(f"{kind} in line {line}" for kind, line in sorted(seen.items(), key=lambda item: item[1]))
        if len(seen) > 1:
            reasons[name] = f"values of several kinds: {listed}"
        elif seen.keys() & {"list", "map"}:
            reasons[name] = f"several values in one: {listed}"
    return reasons


def _array(name: str, values: Sequence[Any], lines: Sequence[int], reasons: dict[str, str]) -> pa.Array:
    """The values as Arrow has them; nulls, and maybe a reason, where it has no such thing."""
    kind = ARROW_KINDS.get(frozenset(map(type, values)) - {type(None)})
    try:
        return pa.nulls(len(values)) if kind is None else pa.array(values, kind)
    except UnicodeEncodeError:
        broken = next(line for line, value in zip(lines, values, strict=True) if not _encodable(value))
        reasons.setdefault(name, f"half a character (a lone surrogate, \\ud800 to \\udfff) in line {broken}")
    except (OverflowError, pa.ArrowInvalid):
        reasons.setdefault(name, f"a number that is too large, in line {lines[0]} to {lines[-1]}")
    return pa.nulls(len(values))


def _encodable(text: str | None) -> bool:
    """Whether it is text throughout; JSON can spell half of a surrogate pair, which is none."""
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        return False
    return True


def _joined(tables: Sequence[pa.Table], unusable: Mapping[str, str]) -> pa.Table:
    """One table, the unusable columns emptied, whose kinds would not fit together."""
    fitting = [_emptied(table, unusable) for table in tables]
    return _emptied(pa.concat_tables(fitting, promote_options="permissive"), unusable) if fitting else pa.table({})


def _emptied(table: pa.Table, unusable: Mapping[str, str]) -> pa.Table:
    for place, name in enumerate(table.column_names):
        if name in unusable:
            field = pa.field(name, pa.null(), metadata={UNUSABLE: unusable[name]})
            table = table.set_column(place, field, pa.nulls(len(table)))
    return table
