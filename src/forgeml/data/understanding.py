"""What the columns mean: which hold text and label, what the labels ask for, and which classes there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from forgeml.config.schema import DataConfig
from forgeml.data.columns import Columns, choose_columns
from forgeml.data.labels import classes, lists, tasks
from forgeml.data.rows import Rows, resolve
from forgeml.errors import ConfigError, DataError
from forgeml.records import Source, Task

FEWEST_CLASSES = 2


@dataclass(frozen=True)
class Understanding:
    """How to read the labels of all parts."""

    task: Task
    columns: Columns
    separator: str | None
    """Between several labels in one value; None where there is no such thing."""
    kind: tasks.LabelKind

    def as_settings(self) -> dict[str, Any]:
        """The settings of `data` that say the same."""
        return {**self.columns.as_settings(), "label_separator": self.separator}


def understand(source: Source, config: DataConfig, setting: str, wanted: str) -> Understanding:
    """Choose the columns and the task by the rows of a split or slice; what the configuration names is taken.

    Raises:
        DataError: no such rows, or no obvious columns.
    """
    split, start, stop = resolve(source, setting, wanted)
    columns = choose_columns(source, split, config)
    column = tasks.plain(source.tables[split].column(columns.label).slice(start, stop - start))
    task = config.task or tasks.guess_task(column, columns.label in source.class_names, columns.label)
    separator = config.label_separator
    if task == "multi_label":
        separator = separator or tasks.separator_of(column)
    elif separator:
        what = f"{separator!r} is set, but the task is {task}, in which a text has one label"
        raise ConfigError.at("data.label_separator", what, "leave it out, or set data.task: multi_label")
    return Understanding(task, columns, separator, tasks.kind_of(task, separator, columns.label))


def fit_classes(source: Source, known: Understanding, train: Rows, min_count: int) -> tuple[tuple[str, ...], set[str]]:
    """The class names, and the labels that are left out as too rare.

    Raises:
        DataError: labels that cannot be classes, or fewer than two that are frequent enough.
    """
    declared = source.class_names.get(known.columns.label)
    if known.task == "regression":
        return known.kind.fit(train.values, train.place), set()
    names = tuple(declared) if declared else known.kind.fit(train.values, train.place)
    counts = count_labels(train.values)
    rare = {name for name in names if counts.get(name, 0) < min_count} if min_count > 1 else set()
    left = tuple(name for name in names if name not in rare)
    if len(left) < FEWEST_CLASSES and rare:
        what = f"{len(left)} of {len(names)} classes with {min_count} examples or more, where two are wanted"
        raise DataError.at("data.min_count", what, f"lower it; {classes.shown(names)} are there")
    if len(left) < FEWEST_CLASSES:
        fix = "add texts of another class; to tell texts that have it from others, give both a name"
        raise DataError.at(train.place, f"the only label is {classes.shown(names)}: nothing to tell apart", fix)
    return left, rare


def count_labels(values: pa.ChunkedArray) -> dict[str, int]:
    """Rows of each label."""
    flat = pc.list_flatten(values) if pa.types.is_large_list(values.type) else values
    return {entry["values"]: entry["counts"] for entry in pc.value_counts(flat.drop_null()).to_pylist()}


def without_labels(rows: Rows, rare: set[str]) -> Rows:
    """Rows without these labels: rows that have no other are left out, lists lose them."""
    if not rare:
        return rows
    if pa.types.is_large_list(rows.values.type):
        before = pc.list_value_length(rows.values).to_numpy()
        left = rows.relabelled(lists.without_names(rows.values, rare))
        return left.kept((before == 0) | (pc.list_value_length(left.values).to_numpy() > 0))
    is_rare = pc.is_in(rows.values, pa.array(sorted(rare), pa.large_string()))
    return rows.kept(~is_rare.to_numpy())


def names_of(places: Sequence[int], class_names: Sequence[str]) -> str:
    """Some classes for a message."""
    return classes.shown([class_names[place] for place in places])
