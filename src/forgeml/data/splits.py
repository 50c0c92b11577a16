"""From the rows that came in to train, validation and test: columns, slices, shares, one label map."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forgeml.config.schema import DataConfig
from forgeml.data import labels
from forgeml.errors import DataError, nearest
from forgeml.records import Source, Split, Splits

DEFAULT_SHARE = 0.1
"""Part of train that becomes the validation split when the data has none."""

SLICE = re.compile(r"(?P<split>[^\[\]]+?)(?:\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")

# Keeps the draws for splitting apart from the draws for shuffling batches, which start from the same seed.
SPLITTING = 1


def make_splits(source: Source, config: DataConfig, seed: int) -> Splits:
    """Choose the columns, cut the splits and map the labels.

    Raises:
        DataError: a split or column that is not there, labels that cannot be used, too few rows.
    """
    text_column = config.text_column or source.text_column
    label_column = config.label_column or source.label_column
    validation = config.validation_split or ("validation" if "validation" in source.tables else DEFAULT_SHARE)
    test = config.test_split or ("test" if "test" in source.tables else None)

    train_words = _read_part(source, "data.train_split", config.train_split, text_column, label_column)
    class_names = _class_names(source, label_column) or labels.fit(train_words.words, train_words.where)
    train = train_words.labelled(class_names)
    parts: dict[str, Split | None] = {}
    for name, wanted in (("test", test), ("validation", validation)):
        if isinstance(wanted, float):
            train, parts[name] = split_off(train, wanted, name, seed)
        elif wanted is not None:
            part = _read_part(source, f"data.{name}_split", wanted, text_column, label_column)
            parts[name] = part.labelled(class_names, name)
    return _checked(train, parts["validation"], parts.get("test"), class_names)


def labelled_split(
    source: Source, wanted: str | None, columns: tuple[str | None, str | None], class_names: Sequence[str]
) -> Split:
    """One split under a label map that exists already, to score a trained classifier on.

    Args:
        source: rows as they came in.
        wanted: split or slice; None for `test` if there is one, else the only or first split.
        columns: text and label column; None for those that the data set is known for.
        class_names: the classifier's own.

    Raises:
        DataError: a split or column that is not there, or labels that the classifier does not know.
    """
    name = wanted or ("test" if "test" in source.tables else next(iter(source.tables)))
    text_column, label_column = columns[0] or source.text_column, columns[1] or source.label_column
    part = _read_part(source, "--split", name, text_column, label_column).labelled(class_names, name)
    if not len(part):
        raise DataError.at("--split", f"{name} of {source.name} has no labelled rows", "choose another split")
    return part


class _Part:
    """Rows of one split with their labels still as words."""

    def __init__(self, name: str, where: str, texts: pa.ChunkedArray, words: pa.ChunkedArray, first_row: int) -> None:
        self.name, self.where, self.texts, self.words, self.first_row = name, where, texts, words, first_row

    def labelled(self, class_names: Sequence[str], name: str = "train") -> Split:
        """The rows that have a label, under the label map."""
        known = pc.is_valid(self.words)
        rows = np.flatnonzero(known.to_numpy()) + self.first_row
        ids = labels.as_ids(pc.filter(self.words, known), class_names, self.where)
        return Split(name, pc.filter(self.texts, known), ids, rows, unlabelled=len(self.words) - len(rows))


def _read_part(source: Source, setting: str, wanted: str, text_column: str, label_column: str) -> _Part:
    table, split, first_row = _rows(source, setting, wanted)
    where = source.files.get(split, f"{source.name} {split}")
    texts = _column(table, text_column, "data.text_column", where)
    raw_labels = _column(table, label_column, "data.label_column", where)
    place = f"{where} column {label_column}"
    words = labels.as_words(raw_labels, source.class_names.get(label_column), place)
    if source.files:
        _refuse_missing(words, place, first_row)
    return _Part(split, place, _as_texts(texts, f"{where} column {text_column}"), words, first_row)


def _rows(source: Source, setting: str, wanted: str) -> tuple[pa.Table, str, int]:
    match = SLICE.fullmatch(wanted)
    if match is None:
        raise DataError.at(setting, f"{wanted!r} is no split or slice", "write train, train[:5000] or train[10%:20%]")
    split = match["split"]
    if split not in source.tables:
        close = nearest(split, source.tables)
        hint = f"did you mean {close}?" if close else f"choose one of {', '.join(source.tables)}"
        raise DataError.at(setting, f"{source.name} has no split {split!r}; it has {', '.join(source.tables)}", hint)
    table = source.tables[split]
    start, stop, _ = slice(_bound(match["start"], len(table)), _bound(match["stop"], len(table))).indices(len(table))
    if start >= stop:
        raise DataError.at(setting, f"{wanted!r} holds no rows: {split} has {len(table)}", "choose a slice inside it")
    return table.slice(start, stop - start), split, start


def _bound(written: str | None, rows: int) -> int | None:
    """A slice's bound as a row number; percentages are rounded to the nearest row."""
    if written is None:
        return None
    return round(int(written[:-1]) * rows / 100) if written.endswith("%") else int(written)


def _column(table: pa.Table, name: str, setting: str, where: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        close = nearest(name, table.column_names)
        listed = ", ".join(table.column_names)
        hint = f"did you mean {close}? set {setting}" if close else f"set {setting} to one of them"
        raise DataError.at(where, f"no column {name!r}; found {listed}", hint)
    return table.column(name)


def _as_texts(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise DataError.at(where, f"holds values of kind {kind}, not texts", "choose the column with data.text_column")
    return pc.fill_null(column.cast(pa.large_string()), "")


def _refuse_missing(words: pa.ChunkedArray, where: str, first_row: int) -> None:
    missing = np.flatnonzero(pc.fill_null(pc.equal(words, ""), True).to_numpy())
    if len(missing):
        shown = ", ".join(str(row + first_row + 1) for row in missing[: labels.MOST_SHOWN])
        raise DataError.at(
            where, f"{len(missing)} rows have no label: row {shown}", "label these rows or take them out"
        )


def _class_names(source: Source, label_column: str) -> tuple[str, ...] | None:
    declared = source.class_names.get(label_column)
    return tuple(declared) if declared else None


def split_off(train: Split, share: float, name: str, seed: int) -> tuple[Split, Split]:
    """Set a share of train aside, class by class, drawn by seed; the order of rows is kept.

    Returns:
        What is left of train, and the part set aside.

    Raises:
        DataError: the share comes to no row at all.
    """
    generator = np.random.default_rng([seed, SPLITTING, len(name)])
    aside = np.zeros(len(train), dtype=bool)
    for class_id in np.unique(train.labels):
        members = generator.permutation(np.flatnonzero(train.labels == class_id))
        aside[members[: round(share * len(members))]] = True
    if not aside.any():
        raise DataError.at(
            f"data.{name}_split", f"{share:g} of {len(train)} rows comes to no row", "give a larger share or more data"
        )
    return _select(train, ~aside, "train"), _select(train, aside, name)


def _select(split: Split, chosen: NDArray[np.bool_], name: str) -> Split:
    return Split(
        name, pc.filter(split.texts, pa.array(chosen)), split.labels[chosen], split.rows[chosen], split.unlabelled
    )


def _checked(train: Split, validation: Split | None, test: Split | None, class_names: tuple[str, ...]) -> Splits:
    # Hub test sets often come without labels; they cannot be scored, which is no reason not to train.
    test = test if test is not None and len(test) else None
    for part in (train, validation):
        if part is None or not len(part):
            name = part.name if part else "validation"
            raise DataError.at(f"data.{name}_split", "no labelled rows", "choose a split or slice that has labels")
    assert validation is not None
    if len(np.unique(train.labels)) < 2:
        only = class_names[int(train.labels[0])]
        raise DataError.at(
            "data.train_split",
            f"all {len(train)} rows have the label {only!r}: there is nothing to tell apart",
            "the data is sorted by label: take rows from its middle, such as train[10000:15000]",
        )
    fingerprint = _fingerprint([part for part in (train, validation, test) if part is not None])
    return Splits(train, validation, test, class_names, fingerprint)


def _fingerprint(parts: Sequence[Split]) -> str:
    """SHA-256 over names, texts and labels, whatever the chunks that Arrow keeps them in."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.name} {len(part)}\n".encode())
        digest.update(part.labels.astype("<i8").tobytes())
        digest.update(pc.binary_length(part.texts).to_numpy().astype("<i8").tobytes())
        for chunk in part.texts.chunks:
            offsets = np.frombuffer(chunk.buffers()[1], dtype="<i8")[chunk.offset : chunk.offset + len(chunk) + 1]
            if len(chunk) and chunk.buffers()[2] is not None:
                digest.update(memoryview(chunk.buffers()[2])[offsets[0] : offsets[-1]])
    return digest.hexdigest()
