"""Consecutive rows of one split of the source, as a setting chose them, with their labels read but not yet mapped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forgeml.data import slices
from forgeml.data.columns import Columns, check_columns, place_of
from forgeml.data.labels import classes, tasks
from forgeml.data.labels.tasks import LabelKind
from forgeml.errors import DataError, counted
from forgeml.records import ColumnTexts, Source


@dataclass(frozen=True)
class Rows:
    """Some rows of a split, labelled or not."""

    split: str
    start: int
    texts: ColumnTexts
    values: pa.ChunkedArray
    """Labels as the task reads them, null where there is none, shape (rows,)."""
    setting: str
    """The setting that chose the rows."""
    place: str
    """Where the labels stand, for messages."""

    def __len__(self) -> int:
        """Number of rows, those without a label too."""
        return len(self.values)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which rows have a label, shape (rows,)."""
        return np.asarray(self.values.is_valid().to_numpy())

    def kept(self, chosen: NDArray[np.bool_]) -> Rows:
        """The chosen rows alone; shape of `chosen` is (rows,)."""
        texts = replace(self.texts, rows=self.texts.rows[chosen])
        return replace(self, texts=texts, values=self.values.filter(pa.array(chosen)))

    def relabelled(self, values: pa.ChunkedArray) -> Rows:
        """The same rows with other labels."""
        return replace(self, values=values)

    def overlap(self, other: Rows) -> int:
        """Number of rows that both hold."""
        stop = min(self.start + len(self), other.start + len(other))
        return max(0, stop - max(self.start, other.start)) if self.split == other.split else 0


def read_rows(source: Source, columns: Columns, kind: LabelKind, setting: str, wanted: str) -> Rows:
    """The rows that `wanted`, a split or slice, stands for.

    Raises:
        DataError: no such split, rows or columns, texts that are no texts, or labels that the task cannot read.
    """
    split, start, stop = resolve(source, setting, wanted)
    table, where = source.tables[split], place_of(source, split)
    check_columns(table, columns, where)
    place = f"{where} column {columns.label}"
    column = tasks.plain(table.column(columns.label).slice(start, stop - start))
    declared = source.class_names.get(columns.label)
    values = kind.read(column, declared, place, lambda row: source.locate(split, start + row))
    names = (*columns.text, columns.pair) if columns.pair else columns.text
    found = [_as_texts(table.column(name), f"{where} column {name}") for name in names]
    pair = found.pop() if columns.pair else None
    return Rows(split, start, ColumnTexts(tuple(found), pair, np.arange(start, stop)), values, setting, place)


def resolve(source: Source, setting: str, wanted: str) -> tuple[str, int, int]:
    """The split that `wanted`, a split or slice, is of, its first row, and the row behind its last.

    Raises:
        DataError: no such split or rows.
    """
    sizes = {name: len(table) for name, table in source.tables.items()}
    return slices.resolve(wanted, sizes, setting, source.name)


def refuse_unlabelled(source: Source, rows: Rows) -> None:
    """In a file of one's own a label that is missing is a slip; on the hub it is a custom.

    Raises:
        DataError: rows of a local file have no label.
    """
    missing = np.flatnonzero(~rows.labelled)
    if len(missing) and rows.split in source.files:
        shown = missing[: classes.MOST_SHOWN]
        listed = ", ".join(source.locate(rows.split, int(rows.start + row)) for row in shown)
        more = ", ..." if len(missing) > len(shown) else ""
        what = f"{counted(len(missing), 'row')} without a label: {listed}{more}"
        fix = "label these rows, take them out, or set data.on_bad_rows: skip to leave them out"
        raise DataError.at(rows.place, what, fix)


def refuse_overlap(chosen: Mapping[str, Rows]) -> None:
    """See that no row is in two parts.

    Raises:
        DataError: with the first two parts that share rows.
    """
    for (one, first), (other, second) in combinations(chosen.items(), 2):
        common = first.overlap(second)
        if common:
            what = f"{one} and {other} have {common:,} rows of {first.split} in common, so its figures would mislead"
            fix = f"give them different rows, such as data.{one}_split: {first.split}[:80%] and "
            raise DataError.at(second.setting, what, fix + f"data.{other}_split: {first.split}[80%:]")


def refuse_one_label(train: Rows, read_all: Callable[[], Rows]) -> None:
    """See that there is something to tell apart; `read_all` gives the split that `train` is a slice of.

    Raises:
        DataError: all rows have the same label, or none has one.
    """
    found = train.values.drop_null()
    if pa.types.is_large_list(found.type) or len(found.unique()) > 1:
        return
    names = [str(value) for value in found.unique().to_pylist()]
    what = f"all {len(train):,} rows have the label {classes.shown(names)}" if names else "no row has a label"
    fix = "choose another data.label_column, or add rows of another class" if names else "choose rows that have labels"
    whole = read_all()
    around = slices.around_change(whole.values, len(train))
    if around:
        start, stop, change = around
        fix = f"the label changes at row {change:,} of {train.split}; set {train.setting}: "
        fix += train.split if (start, stop) == (0, len(whole)) else f"{train.split}[{start}:{stop}]"
    raise DataError.at(train.setting, f"{what}: there is nothing to tell apart", fix)


def _as_texts(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise DataError.at(where, f"values of kind {kind}, not texts", "choose the column with data.text_column")
    return column
