"""Which columns hold the text and the label: those that are named, those that are known, or the obvious ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from forgeml.config.schema import DataConfig
from forgeml.data.labels.classes import shown
from forgeml.data.names import LABEL_NAMES, TEXT_NAMES, usual_names, usual_pair
from forgeml.data.reading.json_rows import UNUSABLE
from forgeml.errors import DataError, Problem, nearest
from forgeml.records import Source


@dataclass(frozen=True)
class Columns:
    """The columns to learn from."""

    text: tuple[str, ...]
    """Several are joined by line breaks."""
    pair: str | None
    label: str

    def as_settings(self) -> dict[str, Any]:
        """The settings that name these columns."""
        text = self.text[0] if len(self.text) == 1 else list(self.text)
        return {"text_column": text, "text_pair_column": self.pair, "label_column": self.label}


def choose_columns(source: Source, split: str, config: DataConfig) -> Columns:
    """The columns that are named, else those that the data set is known for, else those with the usual names.

    Args:
        source: rows as they came in.
        split: whose table is looked at.
        config: may name some or all of them.

    Raises:
        DataError: a column that is not there or has no usable values, or no column is obvious.
    """
    table, where = source.tables[split], place_of(source, split)
    named = config.text_column or source.text_column
    text = (named,) if isinstance(named, str) else tuple(named or ())
    pair = config.text_pair_column
    if not text:
        first, second = usual_pair(table.column_names, pair)
        known = (pair, config.label_column or source.label_column)
        text, pair = (first or _obvious(table, TEXT_NAMES, where, "text", known),), pair or second
    label = config.label_column or source.label_column or _only_declared(source, table, text)
    label = label or _obvious(table, LABEL_NAMES, where, "label", taken=(*text, pair))
    columns = Columns(text, pair, label)
    check_columns(table, columns, where)
    return columns


def check_columns(table: pa.Table, columns: Columns, where: str) -> None:
    """See that the columns are there, differ, and have values.

    Raises:
        DataError: with every column that is not so.
    """
    wanted = [("data.text_column", name) for name in columns.text]
    wanted += [("data.text_pair_column", columns.pair)] if columns.pair else []
    wanted.append(("data.label_column", columns.label))
    problems: list[Problem] = []
    for place, (setting, name) in enumerate(wanted):
        if name not in table.column_names:
            close = nearest(name.strip(), table.column_names)
            hint = f"did you mean {setting}: {close}?" if close else f"set {setting} to one of them"
            found = f"no column {name!r}; found {shown(table.column_names)}"
            problems.append(Problem(where, found, hint))
        elif name in [other for _, other in wanted[:place]]:
            problems.append(Problem(setting, f"{name!r} is named twice", "name another column"))
        elif reason := (table.field(name).metadata or {}).get(UNUSABLE):
            fix = f"write one text or number a row, all of one kind, or choose another {setting}"
            problems.append(Problem(f"{where} column {name}", reason.decode(), fix))
    if problems:
        raise DataError(problems)


def place_of(source: Source, split: str) -> str:
    """The file of a split, or the name of the data set, for messages."""
    files = source.files.get(split, ())
    more = f" and {len(files) - 1} more files" if len(files) > 1 else ""
    return f"{files[0]}{more}" if files else f"{source.name} {split}"


def _obvious(
    table: pa.Table, tiers: Sequence[Sequence[str]], where: str, what: str, taken: Sequence[str | None] = ()
) -> str:
    names = [name for name in table.column_names if name not in taken]
    found = usual_names(names, tiers)
    if len(found) == 1:
        return found[0]
    setting = f"data.{what}_column"
    if found:
        said = f"several columns may hold the {what}: {shown(found)}"
        raise DataError.at(where, said, f"choose one, such as {setting}: {found[0]}")
    said = f"no column has a usual name for the {what}; found {shown(table.column_names)}"
    fix = f"set {setting} to one of them; if the first row is no header, put one above it, such as text,label"
    raise DataError.at(where, said, fix)


def _only_declared(source: Source, table: pa.Table, text: Sequence[str]) -> str | None:
    """The column that the data set itself declares to hold classes, if it is the only one."""
    declared = [name for name in table.column_names if name in source.class_names and name not in text]
    usual = usual_names(declared, LABEL_NAMES)
    return declared[0] if len(declared) == 1 and not usual else None
