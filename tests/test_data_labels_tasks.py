"""What the labels ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from forgeml.data.labels.tasks import MANY_VALUES, guess_task, kind_of, separator_of
from forgeml.records import Task


def _column(values: list[Any], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    """The values in two chunks."""
    kind = kind or pa.array(values).type
    return pa.chunked_array([pa.array(values[:1], kind), pa.array(values[1:], kind)], kind)


INTENTS = ["card arrival", "card lost", "lost", "top up", "card"]
GRADES = ["very good", "good", "bad", "very bad", "fair"]
MOODS = ["joy", "fear", "joy fear", "anger", "anger joy", "anger fear joy"]

SINGLE: dict[str, tuple[pa.ChunkedArray, str]] = {
    "words": (_column(["pos", "neg"]), "label"),
    "categories": (_column(["pos", "neg", "pos"]).dictionary_encode(), "labels"),
    "booleans": (_column([True, False]), "label"),
    "few integers": (_column([0, 1, 2]), "label"),
    "few integers on a scale": (_column([1, 2, 3, 4, 5] * 10), "rating"),
    "as many integers as are few": (_column(list(range(MANY_VALUES))), "score"),
    "as many integers as are few, and a gap": (_column([*range(MANY_VALUES), None]), "score"),
    "many integers that are no scale": (_column(list(range(150))), "intent"),
    "whole numbers as fractions": (_column([1.0, 0.0, None, float("nan")]), "label"),
    "whole numbers as texts": (_column(["1", "0", "1.0", None, " "]), "label"),
    "names of two words": (_column(INTENTS), "label"),
    "names of two words in a plural column": (_column(["very good", "good", "bad", "very bad"]), "labels"),
    "more names of two words in a plural column": (_column(GRADES), "labels"),
    "names with a comma": (_column(["Bonnie, Clyde", "Clyde", "Bonnie"]), "label"),
    "nothing": (_column([None, None], pa.null()), "label"),
    "nothing but blanks": (_column(["", " ", None], pa.string()), "labels"),
    "names with a bar that stand alone": (_column(["a|b", "c|d"]), "label"),
}
MULTI: dict[str, tuple[pa.ChunkedArray, str]] = {
    "lists of names": (_column([["a"], ["a", "b"], []]), "label"),
    "lists of numbers": (_column([[0], [1, 2]]), "label"),
    "large lists": (_column([["a"], ["b"]], pa.large_list(pa.large_string())), "label"),
    "bars": (_column(["a|b", "a", "b", "b|a"]), "label"),
    "semicolons": (_column(["a; b", "a", "b", "b; a", ""]), "genre"),
    "commas in a plural column": (_column(["a, b", "a", "b, c", "c,a"]), "tags"),
    "blanks in a plural column": (_column(MOODS), "emotions"),
    "blanks in a plural column in capitals": (_column(MOODS), " Labels "),
    "lists as Python writes them": (_column(["['a', 'b']", "['a']", "['b']", "[]"]), "labels"),
    "bars as categories": (_column(["a|b", "a", "b", "b|a"]).dictionary_encode(), "label"),
}
NUMBERS: dict[str, tuple[pa.ChunkedArray, str]] = {
    "fractions": (_column([0.5, 1.0, None]), "label"),
    "fractions as texts": (_column(["0.5", " 1 ", "-2e-3", ""]), "label"),
    "many integers on a scale": (_column(list(range(MANY_VALUES + 1))), "score"),
    "many integers as texts on a scale": (_column([str(number) for number in range(101)]), " Rating"),
}
CASES: list[tuple[Task, str, pa.ChunkedArray, str]] = [
    (task, case, column, name)
    for task, cases in (("single_label", SINGLE), ("multi_label", MULTI), ("regression", NUMBERS))
    for case, (column, name) in cases.items()
]


@pytest.mark.parametrize(
    ("task", "column", "name"),
    [(task, column, name) for task, _, column, name in CASES],
    ids=[case for _, case, _, _ in CASES],
)
def test_task_is_seen_from_the_labels(task: Task, column: pa.ChunkedArray, name: str) -> None:
    """Lists and joined names are several labels, fractions and wide scales are numbers, all else is one class."""
    assert guess_task(column, declared=False, name=name) == task


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([0, 1, 2] * 20, "single_label"),
        (list(range(100)), "single_label"),
        (["a|b", "a", "b", "b|a"], "single_label"),
        ([[0], [0, 1]], "multi_label"),
    ],
    ids=["few", "many on a scale", "joined", "lists"],
)
def test_declared_classes_are_classes(values: list[Any], task: Task) -> None:
    """Where the data set names the classes there is nothing to guess but whether a row has several."""
    assert guess_task(_column(values), declared=True, name="score") == task


@pytest.mark.parametrize("rows", [1, 100])
def test_task_does_not_depend_on_how_often_a_label_stands(rows: int) -> None:
    """What counts are the different values."""
    assert guess_task(_column(GRADES * rows), declared=False, name="labels") == "single_label"
    assert guess_task(_column(MOODS * rows), declared=False, name="labels") == "multi_label"


@pytest.mark.parametrize(
    ("values", "separator"),
    [
        (["a|b", "a", "b", "b|a"], "|"),
        (["a;b", "a", "b", "b;a"], ";"),
        (["a, b", "a", "b", "b, a"], ","),
        (["a b", "a", "b", "b a"], " "),
        (["a b", "c d"], "|"),
        (["a", "b"], "|"),
        ([["a", "b"]], None),
        ([[0, 1]], None),
    ],
)
def test_separator_of_labels_that_are_said_to_be_several(values: list[Any], separator: str | None) -> None:
    """When the task is known, the first separator that joins anything is taken; lists need none."""
    assert separator_of(_column(values)) == separator


def _locate(row: int) -> str:
    return f"row {row}"


@pytest.mark.parametrize(
    ("task", "values", "classes", "encoded"),
    [
        ("single_label", ["b", "a", "b"], ("a", "b"), [1, 0, 1]),
        ("multi_label", ["a|b", "b", "b|a"], ("a", "b"), [[1, 1], [0, 1], [1, 1]]),
        ("regression", ["0.5", "2", "3"], ("stars",), [0.5, 2.0, 3.0]),
    ],
)
def test_each_task_reads_fits_and_encodes(
    task: Task, values: list[str], classes: tuple[str, ...], encoded: Any
) -> None:
    """From a column to class names and an array; a regression's one output has the column's name."""
    kind = kind_of(task, "|", "stars")
    read = kind.read(_column(values), None, "data.csv column stars", _locate)
    assert kind.fit(read, "data.csv column stars") == classes
    labels = kind.encode(read, classes, "data.csv column stars")
    assert labels.tolist() == encoded
    assert labels.dtype == {"single_label": np.int64, "multi_label": np.uint8, "regression": np.float32}[task]
