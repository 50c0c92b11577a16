"""Rows of a split, as a setting chose them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from forgeml.data.columns import Columns
from forgeml.data.labels.tasks import kind_of
from forgeml.data.rows import (
    Rows,
    read_rows,
    refuse_one_label,
    refuse_overlap,
    refuse_unlabelled,
    resolve,
)
from forgeml.data.texts import read
from forgeml.errors import DataError
from forgeml.records import Source, Task

TEXT_ONLY = Columns(("text",), None, "label")


def _source(labels: list[Any], chunk: int = 3, *, local: bool = False, **columns: list[Any]) -> Source:
    """Rows `text 0`, `text 1`, ... with these labels, in chunks."""
    table = pa.table({"text": [f"text {row}" for row in range(len(labels))], "label": labels, **columns})
    chunks = pa.concat_tables(table.slice(start, chunk) for start in range(0, len(table), chunk))
    return Source("reviews", None, {"train": chunks}, files={"train": ["data.csv"]} if local else {})


def _rows(source: Source, wanted: str = "train", columns: Columns = TEXT_ONLY, task: Task = "single_label") -> Rows:
    return read_rows(source, columns, kind_of(task, "|", "label"), "data.train_split", wanted)


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_slice_has_its_texts_labels_and_places(chunk: int) -> None:
    """However Arrow holds the rows, those of the slice come out, numbered as in the source."""
    rows = _rows(_source(["a", None, "b", "a", "b", "a"], chunk), "train[1:5]")
    assert (rows.split, rows.start, len(rows)) == ("train", 1, 4)
    assert rows.values.to_pylist() == [None, "b", "a", "b"]
    assert rows.labelled.tolist() == [False, True, True, True]
    assert rows.texts.rows.tolist() == [1, 2, 3, 4]
    assert read(rows.texts, 0, 4)[0] == [f"text {row}" for row in range(1, 5)]
    assert rows.place == "reviews train column label"


def test_some_rows_can_be_kept() -> None:
    """Texts and labels of the chosen rows, in their places."""
    rows = _rows(_source(["a", "b", None, "a"])).kept(np.array([True, False, True, True]))
    assert rows.values.to_pylist() == ["a", None, "a"]
    assert rows.texts.rows.tolist() == [0, 2, 3]
    assert rows.labelled.tolist() == [True, False, True]


def test_several_columns_and_pairs_are_texts() -> None:
    """A list of columns is joined by line breaks; the second text of a pair stays apart."""
    source = _source(["a", "b"], title=["t0", "t1"], other=["o0", None])
    rows = _rows(source, columns=Columns(("title", "text"), "other", "label"))
    assert read(rows.texts, 0, 2) == (["t0\ntext 0", "t1\ntext 1"], ["o0", ""])


@pytest.mark.parametrize(
    ("column", "kind"), [([1, 2], "int64"), ([0.5, 1.0], "double"), ([["a"], ["b"]], "list"), ([True, False], "bool")]
)
@pytest.mark.parametrize("place", ["text", "pair"])
def test_columns_that_are_no_texts_are_refused(column: list[Any], kind: str, place: str) -> None:
    """Numbers as texts would not be as they were written."""
    source = _source(["a", "b"], odd=column)
    columns = Columns(("odd",), None, "label") if place == "text" else Columns(("text",), "odd", "label")
    with pytest.raises(DataError, match=f"reviews train column odd: values of kind {kind}.*, not texts"):
        _rows(source, columns=columns)


def test_columns_of_the_other_split_are_checked() -> None:
    """A column that train has and another split lacks is named with the split."""
    source = Source("reviews", None, {"test": pa.table({"body": ["a"], "label": ["x"]})})
    with pytest.raises(DataError, match="reviews test: no column 'text'"):
        read_rows(source, TEXT_ONLY, kind_of("single_label", None, "label"), "data.test_split", "test")


def test_split_and_slice_are_resolved() -> None:
    """First row and the row behind the last; a missing one is named with its setting."""
    source = _source(["a", "b", "a"])
    assert resolve(source, "data.train_split", "train[1:]") == ("train", 1, 3)
    with pytest.raises(DataError, match=r"data.test_split: reviews has no split 'test'"):
        resolve(source, "data.test_split", "test")


def test_number_that_is_none_is_told_with_its_row() -> None:
    """The place is that in the source, not that in the slice."""
    with pytest.raises(DataError, match=r"1 labels are no number: 'high' \(train row 2\)"):
        _rows(_source(["1", "2", "high"]), "train[1:]", task="regression")


def test_missing_labels_of_a_file_are_refused() -> None:
    """Each place is named, as the source counts it; on the hub a missing label is a custom."""
    labels = ["a", None, "b", None]
    with pytest.raises(DataError, match=r"data.csv column label: 2 rows without a label: train row 1, train row 3\n"):
        refuse_unlabelled(_source(labels, local=True), _rows(_source(labels, local=True)))
    with pytest.raises(DataError, match="1 row without a label: train row 3\n"):
        refuse_unlabelled(_source(labels, local=True), _rows(_source(labels, local=True), "train[2:]"))
    refuse_unlabelled(_source(labels), _rows(_source(labels)))
    refuse_unlabelled(_source(["a", "b"], local=True), _rows(_source(["a", "b"], local=True)))


def test_many_missing_labels_are_shown_by_a_few() -> None:
    """The message stays short and says how the rows can be left out."""
    source = _source(["a", *[None] * 30], local=True)
    with pytest.raises(DataError, match=r"30 rows without a label: .*train row 8, \.\.\.\n.*data.on_bad_rows: skip"):
        refuse_unlabelled(source, _rows(source))


@pytest.mark.parametrize(
    ("train", "test", "common"),
    [
        ("train", "train[5:]", 5),
        ("train[:6]", "train[4:]", 2),
        ("train[:5]", "train[5:]", 0),
        ("train[6:]", "train[:5]", 0),
        ("train[2:4]", "train", 2),
    ],
)
def test_rows_in_two_parts_are_counted_and_refused(train: str, test: str, common: int) -> None:
    """Figures on rows that were learnt from would mislead."""
    source = _source(["a", "b"] * 5)
    chosen = {"train": _rows(source, train), "test": _rows(source, test)}
    assert chosen["train"].overlap(chosen["test"]) == chosen["test"].overlap(chosen["train"]) == common
    if common:
        with pytest.raises(DataError, match=f"train and test have {common} rows of train in common"):
            refuse_overlap(chosen)
    else:
        refuse_overlap(chosen)


def test_same_rows_of_two_splits_do_not_overlap() -> None:
    """Row 0 of train is not row 0 of test."""
    table = pa.table({"text": ["a", "b"], "label": ["x", "y"]})
    source = Source("reviews", None, {"train": table, "test": table})
    assert _rows(source, "train").overlap(_rows(source, "test")) == 0


def test_one_label_is_refused_with_a_slice_that_helps() -> None:
    """Where the whole split has more, a slice around the change is suggested; where not, another column."""
    source = _source(["a"] * 300 + ["b"] * 300, chunk=1000)
    with pytest.raises(DataError, match=r"all 200 rows have the label 'a'.*\n.*changes at row 300 .*train\[200:400\]"):
        refuse_one_label(_rows(source, "train[:200]"), lambda: _rows(source))
    same = _rows(_source(["a", "a"]))
    with pytest.raises(DataError, match=r"all 2 rows have the label 'a'.*\n.*choose another data.label_column"):
        refuse_one_label(same, lambda: same)
    nothing = _rows(_source([None, None]))
    with pytest.raises(DataError, match="no row has a label"):
        refuse_one_label(nothing, lambda: nothing)


@pytest.mark.parametrize(
    ("labels", "task"),
    [(["a", "b"], "single_label"), (["a|b", "a|b"], "multi_label"), (["1", "2"], "regression")],
)
def test_something_to_tell_apart_is_enough(labels: list[str], task: Task) -> None:
    """Two classes or two numbers; texts of several classes may all have the same ones."""
    rows = _rows(_source(labels), task=task)
    refuse_one_label(rows, lambda: rows)


def test_one_number_throughout_is_refused() -> None:
    """There is nothing to learn from equal numbers."""
    rows = _rows(_source(["2", "2.0"]), task="regression")
    with pytest.raises(DataError, match=r"all 2 rows have the label '2.0'"):
        refuse_one_label(rows, lambda: rows)
