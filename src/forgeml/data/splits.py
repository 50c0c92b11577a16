"""From the rows that came in to train, validation and test: columns, slices, shares, one label map."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forgeml.config.schema import DataConfig
from forgeml.data import labels, slices
from forgeml.data.files import lines_of
from forgeml.data.json_rows import UNUSABLE
from forgeml.errors import DataError, Problem, nearest
from forgeml.records import Source, Split, Splits

DEFAULT_SHARE = 0.1
"""Part of train that becomes the validation split when the data has none."""
SPLITTING = 1
"""Keeps the draws for splitting apart from the draws for shuffling batches, which start from the same seed."""


@dataclass(frozen=True)
class _Columns:
    """Which columns of a source to learn from."""

    text: str
    label: str

    @classmethod
    def of(cls, source: Source, text: str | None, label: str | None) -> _Columns:
        """The columns asked for, else those that the data set is known for."""
        return cls(text or source.text_column, label or source.label_column)


@dataclass(frozen=True)
class _Rows:
    """Consecutive rows of one split of the source, their labels still words, null where there is none."""

    split: str
    start: int
    texts: pa.ChunkedArray
    words: pa.ChunkedArray
    setting: str
    """The setting that chose them."""
    place: str
    """Where their labels stand, for messages."""

    def __len__(self) -> int:
        """Number of rows, those without a label too."""
        return len(self.words)

    def overlap(self, other: _Rows) -> int:
        """Number of rows that both hold."""
        stop = min(self.start + len(self), other.start + len(other))
        return max(0, stop - max(self.start, other.start)) if self.split == other.split else 0


def make_splits(source: Source, config: DataConfig, seed: int) -> Splits:
    """Choose the columns, cut the splits and map the labels.

    Raises:
        DataError: a split or column that is not there, labels that cannot be used, too few rows, rows in two splits.
    """
    columns = _Columns.of(source, config.text_column, config.label_column)
    wanted = {
        "validation": config.validation_split or ("validation" if "validation" in source.tables else DEFAULT_SHARE),
        "test": config.test_split or ("test" if "test" in source.tables else None),
    }
    chosen = {"train": _read(source, columns, "data.train_split", config.train_split)}
    for name, what in wanted.items():
        if isinstance(what, str):
            chosen[name] = _read(source, columns, f"data.{name}_split", what)
    _refuse_overlap(chosen)
    _refuse_one_class(source, columns, chosen["train"])
    class_names = _class_names(source, columns, chosen["train"])
    parts = {name: _labelled(rows, class_names, name) for name, rows in chosen.items()}
    notes: list[str] = []
    if config.test_split is None and "test" in parts and not len(parts["test"]):
        # Hub test sets often come without labels; they cannot be scored, which is no reason not to train.
        notes.append(f"no test figures: none of the {parts.pop('test').unlabelled:,} rows of test has a label")
    _refuse_empty(parts)
    shares = {name: share for name, share in wanted.items() if isinstance(share, float)}
    parts |= set_aside(parts["train"], shares, seed)
    train, validation, test = parts["train"], parts["validation"], parts.get("test")
    found = [part for part in (train, validation, test) if part is not None]
    empty = [(part, _count_empty(part)) for part in found]
    notes += [f"{count:,} of {len(part):,} texts of {part.name} are empty" for part, count in empty if count]
    return Splits(train, validation, test, class_names, fingerprint(found, class_names), tuple(notes))


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
    rows = _read(source, _Columns.of(source, *columns), "--split", name)
    part = _labelled(rows, class_names, name)
    _refuse_empty({name: part}, "--split")
    return part


def set_aside(train: Split, shares: Mapping[str, float], seed: int) -> dict[str, Split]:
    """Cut shares of train off, class by class, drawn by seed; the order of rows is kept.

    Validation is drawn from one end of a shuffled class and test from the other, so that neither depends on whether
    or how much is cut for the other. Every class keeps an example in train.

    Args:
        train: what to cut from.
        shares: above 0 and below 1, for `validation`, `test` or both, of all of train.
        seed: start of the draw.

    Returns:
        The parts by name, and under `train` what is left.

    Raises:
        DataError: a share comes to no row at all, or nothing is left.
    """
    shares = {name: shares[name] for name in ("validation", "test") if name in shares}
    if sum(shares.values()) >= 1:
        what = f"the shares {' and '.join(f'{share:g}' for share in shares.values())} leave nothing to train on"
        raise DataError.at("data.test_split", what, "lower them; together they are to stay below 1")
    sizes = _sizes_by_class(np.bincount(train.labels), shares)
    for name, by_class in sizes.items():
        if not by_class.any():
            what = f"{shares[name]:g} of {len(train):,} rows comes to no row"
            raise DataError.at(f"data.{name}_split", what, "give a larger share, or more data")
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(SPLITTING,)))
    chosen = {name: np.zeros(len(train), dtype=bool) for name in shares}
    for class_id in np.unique(train.labels):
        members = generator.permutation(np.flatnonzero(train.labels == class_id))
        for name, by_class in sizes.items():
            from_its_end = members if name == "validation" else members[::-1]
            chosen[name][from_its_end[: by_class[class_id]]] = True
    parts = {name: _select(train, rows, name) for name, rows in chosen.items()}
    left = ~np.logical_or.reduce([np.zeros(len(train), dtype=bool), *chosen.values()])
    return {"train": _select(train, left, "train"), **parts}


def fingerprint(parts: Sequence[Split], class_names: Sequence[str]) -> str:
    """SHA-256 over class names, texts and labels, whatever the chunks that Arrow keeps them in."""
    digest = hashlib.sha256(repr(tuple(class_names)).encode())
    for part in parts:
        digest.update(f"{part.name} {len(part)}\n".encode())
        digest.update(part.labels.astype("<i8").tobytes())
        digest.update(pc.binary_length(part.texts).to_numpy().astype("<i8").tobytes())
        for chunk in part.texts.chunks:
            if len(chunk):
                _, offsets, characters = chunk.buffers()
                bounds = np.frombuffer(offsets, "<i8", count=len(chunk) + 1, offset=8 * chunk.offset)
                digest.update(memoryview(characters or b"")[bounds[0] : bounds[-1]])
    return digest.hexdigest()


def _read(source: Source, columns: _Columns, setting: str, wanted: str) -> _Rows:
    sizes = {name: len(table) for name, table in source.tables.items()}
    split, start, stop = slices.resolve(wanted, sizes, setting, source.name)
    table = source.tables[split].slice(start, stop - start)
    where = source.files.get(split, f"{source.name} {split}")
    _check_columns(table, columns, where)
    place = f"{where} column {columns.label}"
    texts = _as_texts(table.column(columns.text), f"{where} column {columns.text}")
    words = labels.as_words(table.column(columns.label), source.class_names.get(columns.label), place)
    rows = _Rows(split, start, texts, words, setting, place)
    if split in source.files:
        _refuse_missing(rows, Path(source.files[split]))
    return rows


def _check_columns(table: pa.Table, columns: _Columns, where: str) -> None:
    problems: list[Problem] = []
    for setting, name in (("data.text_column", columns.text), ("data.label_column", columns.label)):
        if name not in table.column_names:
            close = nearest(name, table.column_names)
            hint = f"did you mean {setting}: {close}?" if close else f"set {setting} to one of them"
            what = f"no column {name!r}; found {labels.shown(table.column_names)}"
            problems.append(Problem(where, what, hint))
        elif reason := (table.field(name).metadata or {}).get(UNUSABLE):
            fix = f"write one text or number a row, all of one kind, or choose another {setting}"
            problems.append(Problem(f"{where} column {name}", reason.decode(), fix))
    if problems:
        raise DataError(problems)


def _as_texts(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise DataError.at(where, f"values of kind {kind}, not texts", "choose the column with data.text_column")
    return pc.fill_null(column.cast(pa.large_string()), "")


def _refuse_missing(rows: _Rows, file: Path) -> None:
    """In a file of one's own a label that is missing is a slip; on the hub it is a custom."""
    blank = pc.equal(pc.utf8_trim_whitespace(rows.words), "")
    missing = np.flatnonzero(pc.fill_null(blank, True).to_numpy()) + rows.start
    if len(missing):
        lines = lines_of(file, missing[: labels.MOST_SHOWN].tolist())
        listed = ", ".join(f"line {line} (row {row + 1})" for row, line in lines.items())
        more = ", ..." if len(missing) > len(lines) else ""
        what = f"{len(missing):,} rows have no label: {listed}{more}"
        raise DataError.at(rows.place, what, "label these rows or take them out")


def _refuse_overlap(chosen: Mapping[str, _Rows]) -> None:
    for (one, first), (other, second) in combinations(chosen.items(), 2):
        common = first.overlap(second)
        if common:
            what = f"{one} and {other} have {common:,} rows of {first.split} in common, so its figures would mislead"
            fix = f"give them different rows, such as data.{one}_split: {first.split}[:80%] and "
            raise DataError.at(second.setting, what, fix + f"data.{other}_split: {first.split}[80%:]")


def _refuse_one_class(source: Source, columns: _Columns, train: _Rows) -> None:
    names = train.words.drop_null().unique().to_pylist()
    if len(names) > 1:
        return
    found = f"all {len(train):,} rows have the label {labels.shown(names)}" if names else "no row has a label"
    fix = "choose another data.label_column, or add rows of another class" if names else "choose rows that have labels"
    whole = _read(source, columns, train.setting, train.split)
    around = slices.around_change(whole.words, len(train))
    if around:
        start, stop, change = around
        fix = f"the label changes at row {change:,} of {train.split}; set {train.setting}: "
        fix += train.split if (start, stop) == (0, len(whole)) else f"{train.split}[{start}:{stop}]"
    raise DataError.at(train.setting, f"{found}: there is nothing to tell apart", fix)


def _class_names(source: Source, columns: _Columns, train: _Rows) -> tuple[str, ...]:
    declared = source.class_names.get(columns.label)
    return tuple(declared) if declared else labels.fit(train.words, train.place)


def _labelled(rows: _Rows, class_names: Sequence[str], name: str) -> Split:
    """The rows that have a label, under the label map."""
    known = rows.words.is_valid()
    ids = labels.as_ids(rows.words.filter(known), class_names, rows.place)
    places = np.flatnonzero(known.to_numpy()) + rows.start
    return Split(name, rows.texts.filter(known), ids, places, unlabelled=len(rows) - len(ids))


def _refuse_empty(parts: Mapping[str, Split], setting: str | None = None) -> None:
    for name, part in parts.items():
        if not len(part):
            what = f"none of its {part.unlabelled:,} rows has a label"
            raise DataError.at(setting or f"data.{name}_split", what, "choose a split or slice that has labels")


def _count_empty(part: Split) -> int:
    return int(pc.sum(pc.equal(pc.utf8_trim_whitespace(part.texts), "")).as_py() or 0)


def _sizes_by_class(counts: NDArray[np.int64], shares: Mapping[str, float]) -> dict[str, NDArray[np.int64]]:
    """Examples of each class that go into each part; shape (classes,) each.

    Each is rounded down or up, so that all of them together come to the share: those with the largest fraction go up.
    A class keeps at least one example in train.
    """
    free = np.maximum(counts - 1, 0)
    sizes: dict[str, NDArray[np.int64]] = {}
    for name, share in shares.items():
        exact = counts * share
        size = np.minimum(np.floor(exact).astype(np.int64), free)
        fraction = np.where(size < free, exact - size, -1.0)
        missing = max(0, round(share * int(counts.sum())) - int(size.sum()))
        largest = np.argsort(-fraction, kind="stable")[: min(missing, np.count_nonzero(size < free))]
        size[largest] += 1
        sizes[name], free = size, free - size
    return sizes


def _select(split: Split, chosen: NDArray[np.bool_], name: str) -> Split:
    unlabelled = split.unlabelled if name == split.name else 0
    return Split(name, split.texts.filter(pa.array(chosen)), split.labels[chosen], split.rows[chosen], unlabelled)
