"""Labels of texts that may belong to any number of classes: lists of names, or names joined in one value."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forgeml.data.labels.classes import refuse_alike, sorted_names, unknown_labels
from forgeml.errors import DataError

SEPARATORS = ("|", ";", ",", " ")
"""What may stand between names, in the order in which they are tried."""
SURE_SEPARATORS = ("|", ";")
"""Hardly ever part of a name."""
SHARE_ALONE = 0.8
"""Part of the names that have to stand alone in some row too, where the separator could be part of a name."""
MOST_VALUES = 20_000
"""Different values; a column with more of them is not searched for a separator."""

WRITTEN_NAME = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^,]+))""")
"""A name in a list that is written in a text: in double or single quotes, or bare."""

CODES = (0, 1)
"""Absence and presence of a class, in data that have a column for each."""

NAMES = pa.large_list(pa.large_string())


def find_separator(values: Sequence[str], plural: bool) -> str | None:
    """What joins several names in one value, or None if each value is one name.

    Args:
        values: all different values of the column.
        plural: whether the column's name speaks of several labels.
    """
    whole = {value.strip() for value in values}
    if len(whole) > MOST_VALUES:
        return None
    for separator in SEPARATORS:
        parts = [_names(value, separator) for value in whole]
        names = set(chain.from_iterable(parts))
        if all(len(one) < 2 for one in parts) or len(names) >= len(whole):
            continue
        if _are_paths(parts):
            continue
        alone = len(names & whole) >= SHARE_ALONE * len(names)
        if separator in SURE_SEPARATORS or (plural and (alone or separator == ",")):
            return separator
    return None


def _are_paths(parts: Sequence[Sequence[str]]) -> bool:
    """Whether each value is one name of several parts, such as `sport|tennis`: as many in each, each in its place."""
    if len({len(one) for one in parts}) != 1:
        return False
    places = [set(place) for place in zip(*parts, strict=True)]
    return sum(map(len, places)) == len(set().union(*places))


def first_separator(values: Sequence[str]) -> str:
    """The separator in data that are known to have several names in a value; a blank is not taken on trust."""
    return next((one for one in SEPARATORS[:-1] if any(one in value for value in values)), SEPARATORS[0])


def as_lists(
    column: pa.ChunkedArray, class_names: Sequence[str] | None, separator: str | None, where: str
) -> pa.ChunkedArray:
    """The names of each row, null where there is no label at all; shape (rows,).

    Args:
        column: lists of names or of class numbers, or names joined by the separator.
        class_names: names behind the numbers, when the data set declares them.
        separator: between joined names.
        where: file and column, for messages.

    Raises:
        DataError: neither lists nor texts, or a number without a name.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _named(column, class_names, where)
    if class_names is not None and pa.types.is_integer(kind):
        return _named(_in_lists(pc.if_else(pc.less(column, 0), None, column)), class_names, where)
    try:
        words = column.cast(pa.large_string())
    except pa.ArrowException as error:
        fix = "write lists of names, or names joined by | in one text, or choose another data.label_column"
        raise DataError.at(where, f"labels are of kind {kind}", fix) from error
    different = words.unique()
    split = [None if value is None else _names(value, separator or " ") for value in different.to_pylist()]
    return pc.take(pa.array(split, NAMES), pc.index_in(words, different))


def fit_lists(lists: pa.ChunkedArray, where: str) -> tuple[str, ...]:
    """The class names of the training labels, numbers by size and words by alphabet.

    Raises:
        DataError: no names, or names that differ by case or outer spaces alone.
    """
    counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(_flat(lists)).to_pylist()}
    if not counts:
        raise DataError.at(where, "no row has a label", "choose another data.label_column")
    refuse_alike(counts, where)
    return sorted_names(list(counts))


def as_matrix(lists: pa.ChunkedArray, class_names: Sequence[str], where: str) -> NDArray[np.uint8]:
    """1 where a row has the class, shape (rows, classes).

    Raises:
        DataError: a label that train does not have.
    """
    flat = _flat(lists)
    ids = pc.index_in(flat, pa.array(list(class_names), pa.large_string()))
    if ids.null_count:
        unknown = Counter(pc.filter(flat, pc.is_null(ids)).to_pylist())
        raise unknown_labels(unknown, class_names, where)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    matrix = np.zeros((len(lists), len(class_names)), np.uint8)
    matrix[np.repeat(np.arange(len(lists)), lengths), ids.to_numpy()] = 1
    return matrix


def without_names(lists: pa.ChunkedArray, names: set[str]) -> pa.ChunkedArray:
    """The lists without these names."""
    flat = _flat(lists)
    keep = pc.invert(pc.is_in(flat, pa.array(sorted(names), pa.large_string())))
    return _regrouped(lists, flat, keep)


def _names(value: str, separator: str) -> list[str]:
    """The names in a value; a list as Python or JSON writes it is one too."""
    value = value.strip()
    if value.startswith("[") and value.endswith("]"):
        parts = _written(value)
    else:
        parts = value.split() if separator == " " else [part.strip() for part in value.split(separator)]
    return list(dict.fromkeys(part for part in parts if part))


def _written(value: str) -> list[str]:
    """The names in a list that is written as Python, JSON or NumPy do."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = None
    if found is not None and all(isinstance(one, (str, int)) for one in found):
        return [str(one).strip() for one in found]
    names = ("".join(groups) for groups in WRITTEN_NAME.findall(value[1:-1]))
    return [re.sub(r"\\(.)", r"\1", name).strip() for name in names]


def _named(lists: pa.ChunkedArray, class_names: Sequence[str] | None, where: str) -> pa.ChunkedArray:
    """Lists of names from lists of names or numbers; what is missing inside a list is left out."""
    values = lists.type.value_type
    flat = _flat(lists)
    if class_names is not None and pa.types.is_integer(values):
        if len(flat) and (pc.min(flat).as_py() < 0 or pc.max(flat).as_py() >= len(class_names)):
            what = f"a class number outside 0 to {len(class_names) - 1}"
            raise DataError.at(where, what, "report it to the data set's owner")
        named = pc.take(pa.array(list(class_names), pa.large_string()), flat)
    elif pa.types.is_integer(values) or pa.types.is_string(values) or pa.types.is_large_string(values):
        _refuse_columns(lists, flat, where)
        named = flat.cast(pa.large_string())
    else:
        fix = "write lists of names, or choose another data.label_column"
        raise DataError.at(where, f"labels are lists of kind {values}", fix)
    return _regrouped(lists, named, named.is_valid())


def _refuse_columns(lists: pa.ChunkedArray, flat: pa.ChunkedArray, where: str) -> None:
    """Refuse lists with a 0 or 1 for each class, whose numbers would be taken for the names of two classes."""
    lengths = pc.list_value_length(lists.drop_null()).unique()
    if not pa.types.is_integer(flat.type) or len(lengths) != 1 or lengths[0].as_py() <= len(CODES):
        return
    if set(flat.unique().to_pylist()) <= set(CODES):
        what = f"lists of {lengths[0].as_py()} zeros and ones, one for each class"
        raise DataError.at(where, what, "write the names, or the numbers, of the classes that apply")


def _regrouped(lists: pa.ChunkedArray, flat: pa.ChunkedArray, keep: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists of those names that are kept; `flat` has a name for each entry of the lists, in their order."""
    kept = keep.to_numpy(zero_copy_only=False) if isinstance(keep, pa.Array) else keep.to_numpy()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    owners = np.repeat(np.arange(len(lists)), lengths)[kept]
    offsets = np.concatenate([[0], np.bincount(owners, minlength=len(lists)).cumsum()])
    names = flat.filter(pa.chunked_array([pa.array(kept)])).combine_chunks()
    missing = pa.array(~lists.is_valid().to_numpy())
    return pa.chunked_array([pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), names, mask=missing)])


def _in_lists(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Each value as a list of its own, null where it is null."""
    values = column.combine_chunks()
    offsets = pa.array(np.arange(len(values) + 1), pa.int64())
    missing = pa.array(~values.is_valid().to_numpy(zero_copy_only=False))
    return pa.chunked_array([pa.LargeListArray.from_arrays(offsets, values, mask=missing)])


def _flat(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    flat = pc.list_flatten(lists)
    return flat if isinstance(flat, pa.ChunkedArray) else pa.chunked_array([flat])
