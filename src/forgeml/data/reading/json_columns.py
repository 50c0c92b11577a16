"""The columns that the objects of a JSON file make, found out while they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from forgeml.data.reading.json_rows import UNUSABLE
from forgeml.errors import DataError

MOST_COLUMNS = 1000

TEXTS, WHOLE_NUMBERS, EMPTY_LIST = "list of texts", "list of numbers", "empty list"
KINDS: Mapping[type, str] = {str: "text", int: "whole number", float: "number", bool: "true/false", dict: "map"}
LISTS: Mapping[frozenset[type], str] = {
    frozenset(): EMPTY_LIST,
    frozenset([str]): TEXTS,
    frozenset([int]): WHOLE_NUMBERS,
}
# Offsets of 32 bits end at 2 GB of text.
TEXT_TYPE = pa.large_string()
# Numbers with and without a fraction may stand in one column; other kinds may not be mixed.
ARROW_TYPES: Mapping[frozenset[str], pa.DataType] = {
    frozenset(): pa.null(),
    frozenset(["text"]): TEXT_TYPE,
    frozenset(["true/false"]): pa.bool_(),
    frozenset(["whole number"]): pa.int64(),
    frozenset(["number"]): pa.float64(),
    frozenset(["whole number", "number"]): pa.float64(),
    frozenset([TEXTS]): pa.list_(TEXT_TYPE),
    frozenset([TEXTS, EMPTY_LIST]): pa.list_(TEXT_TYPE),
    frozenset([WHOLE_NUMBERS]): pa.list_(pa.int64()),
    frozenset([WHOLE_NUMBERS, EMPTY_LIST]): pa.list_(pa.int64()),
    frozenset([EMPTY_LIST]): pa.list_(TEXT_TYPE),
}


class Columns:
    """The columns so far: their kinds, and why some of them cannot be used.

    A column that holds maps, values of several kinds or values that Arrow cannot take is all null, and its field
    says why under `UNUSABLE`. Its type only ever widens, so the schema of the last table fits all tables before it.
    """

    def __init__(self, path: Path, word: str = "line") -> None:
        """Start without columns; `word` is what a place in the file is called."""
        self._path, self._word = path, word
        self._kinds: dict[str, dict[str, int]] = {}
        self._broken: dict[str, str] = {}

    def add(self, places: Sequence[int], rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        """Some more objects as a table with all columns so far, null where an object lacks one.

        Args:
            places: where each object stands, counted from 1.
            rows: the objects.

        Raises:
            DataError: hardly two rows have the same keys.
        """
        for name in dict.fromkeys(chain.from_iterable(rows)):
            if name not in self._kinds:
                self._check_name(f"{self._path} {self._word} {places[0]} to {places[-1]}", name)
                self._kinds[name] = {}
        arrays = [self._array(name, [row.get(name) for row in rows], places) for name in self._kinds]
        return pa.table(arrays, schema=self.schema())

    def schema(self) -> pa.Schema:
        """The columns so far, with the reasons of those that cannot be used."""
        return pa.schema([self._field(name) for name in self._kinds])

    def _field(self, name: str) -> pa.Field:
        reason = self._broken.get(name) or self._mixed(name)
        return pa.field(name, pa.null(), metadata={UNUSABLE: reason}) if reason else pa.field(name, self._type(name))

    def _type(self, name: str) -> pa.DataType | None:
        return ARROW_TYPES.get(frozenset(self._kinds[name]))

    def _mixed(self, name: str) -> str | None:
        """Why the kinds of values that a column holds do not make one."""
        if self._type(name) is not None:
            return None
        seen = self._kinds[name]
        listed = ", ".join(f"{kind} in {self._word} {place}" for kind, place in sorted(seen.items(), key=_place))
        single = "several values in one" if seen.keys() == {"map"} else "a list of something else than texts or numbers"
        return f"{single if len(seen) == 1 else 'values of several kinds'}: {listed}"

    def _array(self, name: str, values: Sequence[Any], places: Sequence[int]) -> pa.Array:
        """The values as Arrow has them; nulls, and maybe a reason, where it has no such thing."""
        seen = self._kinds[name]
        for kind, place in _first_places(values, places):
            seen[kind] = min(place, seen.get(kind, place))
        kind_of_column = self._type(name)
        if kind_of_column is None or name in self._broken:
            return pa.nulls(len(values))
        try:
            if kind_of_column == pa.float64():
                # Arrow refuses to round whole numbers of more than 53 bits.
                values = [None if value is None else float(value) for value in values]
            return pa.array(values, kind_of_column)
        except UnicodeEncodeError:
            broken = next(place for place, value in zip(places, values, strict=True) if not _encodable(value))
            reason = f"half a character (a lone surrogate, \\ud800 to \\udfff) in {self._word} {broken}"
        except (OverflowError, pa.ArrowInvalid):
            reason = f"a number that is too large, in {self._word} {places[0]} to {places[-1]}"
        self._broken[name] = reason
        return pa.nulls(len(values))

    def _check_name(self, where: str, name: str) -> None:
        if len(self._kinds) == MOST_COLUMNS:
            raise DataError.at(where, f"more than {MOST_COLUMNS} different keys", "give all objects the same keys")
        if not _encodable(name):
            raise DataError.at(where, f"the key {name!r} holds half a character", "write the key as Unicode text")


def _first_places(values: Sequence[Any], places: Sequence[int]) -> Iterable[tuple[str, int]]:
    """Each kind of value that is there, with the place where it stands first."""
    types = set(map(type, values)) - {type(None)}
    if list not in types:
        for kind in types:
            yield KINDS[kind], next(place for place, value in zip(places, values, strict=True) if type(value) is kind)
        return
    found: dict[str, int] = {}
    for place, value in zip(places, values, strict=True):
        if value is not None:
            found.setdefault(_kind(value), place)
    yield from found.items()


def _kind(value: object) -> str:
    return LISTS.get(frozenset(map(type, value)), "list") if isinstance(value, list) else KINDS[type(value)]


def _place(item: tuple[str, int]) -> int:
    return item[1]


def _encodable(value: str | Sequence[str] | None) -> bool:
    """Whether it is text throughout; JSON can spell half of a surrogate pair, which is none."""
    try:
        "".join(value or "").encode()
    except UnicodeEncodeError:
        return False
    return True
