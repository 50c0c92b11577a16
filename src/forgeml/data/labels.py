"""One label map, fitted on train and used for every split, file and answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forgeml.errors import ConfigError, DataError

UNLABELLED_ID = -1
"""What hub data sets put where there is no label."""
MOST_SHOWN = 8


def as_words(column: pa.ChunkedArray, class_names: Sequence[str] | None, where: str) -> pa.ChunkedArray:
    """Labels as the words that people know them by, null where there is none; shape (rows,).

    Args:
        column: labels as they came.
        class_names: names behind the integers, when the data set declares them.
        where: file and column, for messages.

    Raises:
        DataError: the labels are of a kind that names no class.
    """
    kind = column.type
    if class_names is not None:
        return pc.take(pa.array(list(class_names), pa.large_string()), _class_ids(column, len(class_names), where))
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind):
        return column.cast(pa.large_string())
    if pa.types.is_floating(kind):
        return _whole_numbers(column, where).cast(pa.large_string())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return column.cast(pa.large_string())
    raise DataError.at(
        where, f"labels are of kind {kind}; one name or number a row is wanted", "choose data.label_column"
    )


def fit(words: pa.ChunkedArray, where: str) -> tuple[str, ...]:
    """The class names of the training labels, numbers by size and words by alphabet.

    Raises:
        DataError: fewer than two classes, or so many that the column can hardly be the label.
    """
    names: list[str] = pc.unique(words.drop_null()).to_pylist()
    if len(names) < 2:
        found = repr(names[0]) if names else "no label at all"
        raise DataError.at(
            where,
            f"all {len(words)} training rows have one label, {found}: there is nothing to tell apart",
            "if the data is sorted by label, take other rows with data.train_split, such as train[10000:15000]",
        )
    if len(names) > 20 and len(names) > len(words) / 2:
        raise DataError.at(
            where, f"{len(names)} different labels in {len(words)} rows, such as {names[0][:60]!r}", _swapped_fix()
        )
    if all(_is_number(name) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def as_ids(words: pa.ChunkedArray, class_names: Sequence[str], where: str) -> NDArray[np.int64]:
    """Class ids, shape (rows,).

    Raises:
        DataError: a label that train does not have.
    """
    ids = pc.index_in(words, pa.array(list(class_names), pa.large_string()))
    if ids.null_count:
        unknown = pc.value_counts(pc.filter(words, pc.is_null(ids))).to_pylist()
        listed = ", ".join(f"{entry['values']!r} ({entry['counts']} rows)" for entry in unknown[:MOST_SHOWN])
        raise DataError.at(
            where,
            f"labels that the training data does not have: {listed}",
            f"train knows {', '.join(class_names[:MOST_SHOWN])}; add such rows to train or take them out here",
        )
    return np.asarray(ids.to_numpy(), dtype=np.int64)


def check_count(class_names: Sequence[str], num_labels: int | None) -> None:
    """Hold `model.num_labels`, when given, against the data.

    Raises:
        ConfigError: the two differ.
    """
    if num_labels is not None and num_labels != len(class_names):
        shown = ", ".join(class_names[:MOST_SHOWN]) + (", ..." if len(class_names) > MOST_SHOWN else "")
        raise ConfigError.at(
            "model.num_labels",
            f"{num_labels} classes, but the data has {len(class_names)}: {shown}",
            f"leave model.num_labels out, or set it to {len(class_names)}",
        )


def _class_ids(column: pa.ChunkedArray, classes: int, where: str) -> pa.ChunkedArray:
    outside = pc.or_(pc.less(column, UNLABELLED_ID), pc.greater_equal(column, classes))
    if pc.any(outside).as_py():
        raise DataError.at(where, f"a class number outside 0 to {classes - 1}", "report it to the data set's owner")
    return pc.if_else(pc.equal(column, UNLABELLED_ID), None, column)


def _whole_numbers(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise DataError.at(
            where, "labels are fractions, which name no class", "choose data.label_column, or round them in the data"
        ) from error


def _is_number(name: str) -> bool:
    return name.removeprefix("-").isdecimal()


def _swapped_fix() -> str:
    return "check data.text_column and data.label_column: is the text in the label column?"
