"""What the columns mean."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from forgeml.config.schema import DataConfig
from forgeml.data.rows import Rows, read_rows
from forgeml.data.understanding import Understanding, count_labels, fit_classes, names_of, understand, without_labels
from forgeml.errors import ConfigError, DataError, ForgeError
from forgeml.records import Source


def _source(labels: list[Any], class_names: list[str] | None = None, name: str = "label") -> Source:
    table = pa.table({"text": [f"text {row}" for row in range(len(labels))], name: labels})
    return Source("reviews", None, {"train": table}, {name: class_names} if class_names else {})


def _understood(source: Source, **config: Any) -> Understanding:
    config = {"dataset": "reviews", **config}
    return understand(source, DataConfig(**config), "data.train_split", config.get("train_split", "train"))


def _rows(source: Source, known: Understanding) -> Rows:
    return read_rows(source, known.columns, known.kind, "data.train_split", "train")


def test_columns_and_task_are_seen() -> None:
    """Both come from the rows, and what was chosen can be written as settings."""
    known = _understood(_source(["a|b", "a", "b", "b|a"], name="tags"))
    assert (known.task, known.separator) == ("multi_label", "|")
    assert known.as_settings() == {
        "text_column": "text",
        "text_pair_column": None,
        "label_column": "tags",
        "label_separator": "|",
    }
    assert _understood(_source([["a"], ["b"]])).separator is None


@pytest.mark.parametrize("task", ["single_label", "multi_label", "regression"])
def test_named_task_is_taken(task: str) -> None:
    """The configuration wins over what the labels look like."""
    assert _understood(_source(["1", "2", "3"]), task=task).task == task


def test_named_separator_is_taken() -> None:
    """It wins over what is found."""
    known = _understood(_source(["a|b", "a", "b", "b|a"]), task="multi_label", label_separator="/")
    assert known.separator == "/"


@pytest.mark.parametrize(("labels", "task"), [(["a", "b"], "single_label"), ([0.5, 1.5], "regression")])
def test_separator_without_several_labels_is_refused(labels: list[Any], task: str) -> None:
    """Passing over it would hide a slip."""
    with pytest.raises(ConfigError, match=f"data.label_separator: '/' is set, but the task is {task}"):
        _understood(_source(labels), label_separator="/")


def test_task_is_seen_from_the_slice_alone() -> None:
    """Rows that are not learnt from do not count."""
    source = _source(["1", "2", "0.5"])
    assert _understood(source).task == "regression"
    assert _understood(source, train_split="train[:2]").task == "single_label"


@pytest.mark.parametrize(
    ("labels", "class_names", "task", "expected"),
    [
        (["b", "a", "b"], None, None, ("a", "b")),
        ([0, 1, 0], ["z", "a", "m"], None, ("z", "a", "m")),
        ([["b"], ["a", "c"]], None, None, ("a", "b", "c")),
        ([0.5, 1.5], None, None, ("label",)),
        (["1", "2", "3"], None, "regression", ("label",)),
    ],
    ids=["words", "declared", "lists", "fractions", "integers as numbers"],
)
def test_classes_are_those_of_train(
    labels: list[Any], class_names: list[str] | None, task: str | None, expected: tuple[str, ...]
) -> None:
    """Declared names and their order stay; a regression has the name of its column."""
    source = _source(labels, class_names)
    known = _understood(source, task=task)
    assert fit_classes(source, known, _rows(source, known), 1) == (expected, set())


@pytest.mark.parametrize(
    ("labels", "class_names", "left", "rare"),
    [
        (["a"] * 3 + ["b"] * 2 + ["c"], None, ("a", "b"), {"c"}),
        ([0, 0, 1, 1, 2], ["x", "y", "z", "never"], ("x", "y"), {"z", "never"}),
        ([["a", "c"], ["a", "b"], ["b"]], None, ("a", "b"), {"c"}),
    ],
    ids=["words", "declared", "lists"],
)
def test_rare_classes_are_left_out(
    labels: list[Any], class_names: list[str] | None, left: tuple[str, ...], rare: set[str]
) -> None:
    """Fewer training examples than wanted, and the class is none; declared ones that never occur too."""
    source = _source(labels, class_names)
    known = _understood(source)
    assert fit_classes(source, known, _rows(source, known), 2) == (left, rare)


def test_numbers_are_never_rare() -> None:
    """A regression has no classes that could be left out."""
    source = _source([0.5, 1.5, 2.5])
    known = _understood(source)
    assert fit_classes(source, known, _rows(source, known), 50) == (("label",), set())


@pytest.mark.parametrize(("labels", "left"), [(["a", "a", "b"], 1), ([["a", "b"], ["c"]], 0)])
def test_too_high_a_count_is_refused(labels: list[Any], left: int) -> None:
    """Two classes, or one of several, must be left; the message says how many there are."""
    source = _source(labels)
    known = _understood(source)
    total = len({name for label in labels for name in label})
    with pytest.raises(DataError, match=f"data.min_count: {left} of {total} classes .* 2 examples or more"):
        fit_classes(source, known, _rows(source, known), 2)


def test_near_equal_labels_are_refused() -> None:
    """Two spellings of one class are told with their rows."""
    source = _source(["Pos", "pos", "neg", "neg", "pos"])
    known = _understood(source)
    with pytest.raises(DataError, match=r"nearly the same: 'pos' \(2 rows\), 'Pos' \(1 row\)"):
        fit_classes(source, known, _rows(source, known), 1)


def test_labels_are_counted() -> None:
    """By row, and in lists by name; what is missing counts for nothing."""
    for labels in (["a", None, "b", "a"], [["a", "b"], None, [], ["a"]]):
        source = _source(labels)
        assert count_labels(_rows(source, _understood(source)).values) == {"a": 2, "b": 1}


def test_rows_of_rare_labels_are_left_out() -> None:
    """A row whose only label is rare goes with it, a row with others loses it and stays."""
    single, several = _source(["a", "b", "a", "c"]), _source([["a", "b"], ["b"], ["a"]])
    left = without_labels(_rows(single, _understood(single)), {"b", "c"})
    assert (left.values.to_pylist(), left.texts.rows.tolist()) == (["a", "a"], [0, 2])
    left = without_labels(_rows(several, _understood(several)), {"b"})
    assert (left.values.to_pylist(), left.texts.rows.tolist()) == ([["a"], ["a"]], [0, 2])
    rows = _rows(single, _understood(single))
    assert without_labels(rows, set()) is rows


def test_names_are_shown() -> None:
    """Class ids become names, a few of many."""
    assert names_of([1, 0], ["a", "b"]) == "'b', 'a'"
    assert names_of(range(20), [str(number) for number in range(20)]).endswith("'7', ...")


def test_missing_split_and_columns_are_refused() -> None:
    """The setting that asks for them is named."""
    with pytest.raises(ForgeError, match=r"data.train_split: reviews has no split 'trian'"):
        _understood(_source(["a", "b"]), train_split="trian")
    with pytest.raises(DataError, match="no column 'x'"):
        _understood(_source(["a", "b"]), label_column="x")
