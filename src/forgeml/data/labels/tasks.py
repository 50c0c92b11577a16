"""What the labels ask for: one class, any number of classes, or a number; and how each kind becomes an array."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from forgeml.data.labels import classes, lists, numbers
from forgeml.records import Task

if TYPE_CHECKING:
    from forgeml.records import Labels

PLURAL_NAMES = ("labels", "tags", "categories", "classes", "emotions", "topics", "genres", "intents")
"""Columns of these names may well hold several labels in a row."""
SCALE_NAMES = ("score", "rating", "similarity", "similarity_score", "relatedness_score", "value")
"""Columns of these names hold a number to be told if it takes many values."""
MANY_VALUES = 20

Locate = Callable[[int], str]


@dataclass(frozen=True)
class LabelKind:
    """How the labels of a task are read, mapped and turned into an array."""

    read: Callable[[pa.ChunkedArray, Sequence[str] | None, str, Locate], pa.ChunkedArray]
    """From the column, the declared class names, its place and the places of its rows; null where there is none."""
    fit: Callable[[pa.ChunkedArray, str], tuple[str, ...]]
    """Class names from what was read of train, and its place."""
    encode: Callable[[pa.ChunkedArray, Sequence[str], str], Labels]
    """The array, from what was read, the class names and the place."""


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The labels in kinds that are known here: decimals as floats, lists of a fixed length as lists."""
    if pa.types.is_decimal(column.type):
        return column.cast(pa.float64())
    return column.cast(pa.list_(column.type.value_type)) if pa.types.is_fixed_size_list(column.type) else column


def guess_task(column: pa.ChunkedArray, declared: bool, name: str) -> Task:
    """The task that a label column stands for.

    Args:
        column: labels of train as they came.
        declared: whether the data set names the classes behind the column's numbers.
        name: of the column.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return "multi_label"
    if declared:
        return "single_label"
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return _of_numbers(column, name)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return "single_label"
    different = column.cast(pa.large_string()).unique().drop_null()
    different = different.filter(pc.not_equal(pc.utf8_trim_whitespace(different), ""))
    if numbers.all_numbers(different):
        return _of_numbers(different, name)
    plural = name.strip().casefold() in PLURAL_NAMES
    return "multi_label" if lists.find_separator(different.to_pylist(), plural) else "single_label"


def separator_of(column: pa.ChunkedArray) -> str | None:
    """What joins several labels in a value of a multi-label column; None if they come as lists."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None
    different = column.cast(pa.large_string()).unique().drop_null().to_pylist()
    return lists.find_separator(different, plural=True) or lists.first_separator(different)


def kind_of(task: Task, separator: str | None, label_column: str) -> LabelKind:
    """How the labels of a task are treated.

    Args:
        task: the task.
        separator: between several labels in one value.
        label_column: names the one output of a regression.
    """
    kinds: Mapping[Task, LabelKind] = {
        "single_label": LabelKind(
            read=lambda column, names, where, locate: classes.as_words(column, names, where),
            fit=classes.fit,
            encode=classes.as_ids,
        ),
        "multi_label": LabelKind(
            read=lambda column, names, where, locate: lists.as_lists(column, names, separator, where),
            fit=lists.fit_lists,
            encode=lists.as_matrix,
        ),
        "regression": LabelKind(
            read=lambda column, names, where, locate: numbers.as_numbers(_known(column, names), where, locate),
            fit=lambda read, where: (label_column,),
            encode=lambda read, names, where: numbers.as_floats(read),
        ),
    }
    return kinds[task]


def _known(column: pa.ChunkedArray, class_names: Sequence[str] | None) -> pa.ChunkedArray:
    """Numbers of a column that also stand for declared classes, in which -1 stands for no label."""
    return column if class_names is None else pc.if_else(pc.equal(column, classes.UNLABELLED_ID), None, column)


def _of_numbers(column: pa.ChunkedArray | pa.Array, name: str) -> Task:
    many = pc.count_distinct(column).as_py() > MANY_VALUES
    on_a_scale = name.strip().casefold() in SCALE_NAMES and many
    return "regression" if on_a_scale or numbers.has_fractions(column) else "single_label"
