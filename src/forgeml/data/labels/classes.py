"""One label map, fitted on train and used for every split, file and answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forgeml.errors import ConfigError, DataError, Problem, counted

UNLABELLED_ID = -1
"""What hub data sets put where there is no label."""
MOST_SHOWN = 8
MOST_CHARACTERS_SHOWN = 60
MANY_CLASSES = 20
"""More, and hardly one of them twice, are taken for texts; so are fewer if every row has its own."""
LONG_LABEL = 100
"""Characters; labels that are longer on average are taken for texts."""
DIGITS_OF_INT64 = 18
WHOLE_NUMBER = r"^(-?\d+)(?:\.0+)?$"


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
    if class_names is not None and pa.types.is_integer(kind):
        return _names_of(column, class_names, where)
    if pa.types.is_floating(kind):
        return _whole_numbers(column, where).cast(pa.large_string())
    named_by = (
        pa.types.is_boolean,
        pa.types.is_integer,
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_null,
    )
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    if any(is_kind(values) for is_kind in named_by):
        words = column.cast(pa.large_string())
        # A field of a CSV file that holds nothing cannot say so in any other way.
        blank = pc.equal(pc.utf8_trim_whitespace(words), "")
        return _without_empty_fractions(pc.if_else(blank, None, words))
    raise DataError.at(
        where, f"labels are of kind {kind}; one name or number a row is wanted", "choose data.label_column"
    )


def fit(words: pa.ChunkedArray, where: str) -> tuple[str, ...]:
    """The class names of the training labels, numbers by size and words by alphabet.

    Raises:
        DataError: the column can hardly be the label, or labels differ by case or outer spaces alone.
    """
    counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(words.drop_null()).to_pylist()}
    names, rows = list(counts), sum(counts.values())
    hardly_twice = len(names) > min(MANY_CLASSES, rows - 1) and len(names) > max(2, rows / 2)
    if hardly_twice or sum(map(len, names)) > LONG_LABEL * len(names):
        what = f"{len(names):,} different labels in {rows:,} rows, such as {shown(names[:2])}"
        fix = "check data.text_column and data.label_column: is the text in the label column?"
        raise DataError.at(where, what, fix)
    refuse_alike(counts, where)
    return sorted_names(names)


def sorted_names(names: Sequence[str]) -> tuple[str, ...]:
    """Numbers by size, words by alphabet."""
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
        raise unknown_labels({entry["values"]: entry["counts"] for entry in unknown}, class_names, where)
    return np.asarray(ids.to_numpy(), dtype=np.int64)


def unknown_labels(counts: Mapping[str, int], class_names: Sequence[str], where: str) -> DataError:
    """The error over labels that train does not have, with the rows of each."""
    often = sorted(counts, key=lambda name: (-counts[name], name))
    listed = ", ".join(f"{shown([name])} ({counted(counts[name], 'row')})" for name in often[:MOST_SHOWN])
    more = f" and {len(often) - MOST_SHOWN:,} more labels" if len(often) > MOST_SHOWN else ""
    return DataError.at(
        where,
        f"labels that the training data does not have: {listed}{more}",
        f"train knows {shown(class_names)}; add such rows to train or take them out here",
    )


def check_count(class_names: Sequence[str], num_labels: int | None) -> None:
    """Hold `model.num_labels`, when given, against the data.

    Raises:
        ConfigError: the two differ.
    """
    if num_labels is not None and num_labels != len(class_names):
        raise ConfigError.at(
            "model.num_labels",
            f"{num_labels} classes, but the data has {len(class_names)}: {shown(class_names)}",
            f"leave model.num_labels out, or set it to {len(class_names)}",
        )


def shown(names: Sequence[str]) -> str:
    """Some names for a message, long ones cut."""
    cut = (name if len(name) <= MOST_CHARACTERS_SHOWN else name[:MOST_CHARACTERS_SHOWN] + "…" for name in names)
    listed = [repr(name) for name, _ in zip(cut, range(MOST_SHOWN), strict=False)]
    return ", ".join([*listed, "..."] if len(names) > MOST_SHOWN else listed)


def _names_of(column: pa.ChunkedArray, class_names: Sequence[str], where: str) -> pa.ChunkedArray:
    classes = len(class_names)
    outside = pc.or_(pc.less(column, UNLABELLED_ID), pc.greater_equal(column, classes))
    if pc.any(outside).as_py():
        raise DataError.at(where, f"a class number outside 0 to {classes - 1}", "report it to the data set's owner")
    ids = pc.if_else(pc.equal(column, UNLABELLED_ID), None, column)
    return pc.take(pa.array(list(class_names), pa.large_string()), ids)


def _whole_numbers(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    # A column of integers with gaps comes as fractions and "not a number" from the tools that write such files.
    known = pc.if_else(pc.is_nan(column), None, column)
    try:
        return known.cast(pa.int64())
    except pa.ArrowInvalid as error:
        fractions = pc.filter(known, pc.not_equal(pc.floor(known), known))
        example = f", such as {fractions[0].as_py():g}" if len(fractions) else ""
        raise DataError.at(
            where,
            f"labels are no whole numbers{example}, and so name no class",
            "choose data.label_column, or round them in the data",
        ) from error


def _without_empty_fractions(words: pa.ChunkedArray) -> pa.ChunkedArray:
    """Where all labels are whole numbers, `1.0` is `1`, as other tools write it when a label is missing elsewhere."""
    if pc.all(pc.match_substring_regex(words.unique(), WHOLE_NUMBER)).as_py():
        return pc.replace_substring_regex(words, WHOLE_NUMBER, r"\1")
    return words


def refuse_alike(counts: Mapping[str, int], where: str) -> None:
    """See that no labels differ by case or outer spaces alone, as they do by mistake.

    Raises:
        DataError: with all that do, and their counts.
    """
    groups: dict[str, list[str]] = {}
    for name in counts:
        groups.setdefault(name.strip().casefold(), []).append(name)
    alike = [sorted(names, key=lambda name: -counts[name]) for names in groups.values() if len(names) > 1]
    if alike:
        problems = []
        for names in alike[:MOST_SHOWN]:
            listed = ", ".join(f"{shown([name])} ({counted(counts[name], 'row')})" for name in names)
            fix = f"write {shown(names[:1])} throughout, or names that differ by more than case and spaces"
            problems.append(Problem(where, f"labels that are nearly the same: {listed}", fix))
        raise DataError(problems)


def _is_number(name: str) -> bool:
    digits = name.removeprefix("-")
    return digits.isdecimal() and len(digits) <= DIGITS_OF_INT64
