"""Train, validation and test."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from forgeml.config.schema import DataConfig
from forgeml.data.files import read_files
from forgeml.data.splits import labelled_split, make_splits, set_aside
from forgeml.errors import DataError
from forgeml.records import Source, Split, Splits

LABELS = ["neg", "pos"] * 50


def _table(labels: list[Any], chunk: int = 7, name: str = "text") -> pa.Table:
    """Rows `text 0`, `text 1`, ... with these labels, in chunks."""
    table = pa.table({"text": [f"{name} {row}" for row in range(len(labels))], "label": labels})
    return pa.concat_tables(table.slice(start, chunk) for start in range(0, len(table), chunk))


def _source(class_names: list[str] | None = None, **labels: list[Any]) -> Source:
    """A source as the hub gives it, with these labels by split."""
    tables = {split: _table(found, name=split) for split, found in labels.items()}
    return Source("reviews", None, tables, {"label": class_names} if class_names else {})


def _split(source: Source, seed: int = 0, **config: Any) -> Splits:
    return make_splits(source, DataConfig(dataset="reviews", **config), seed)


def _refused(source: Source, **config: Any) -> str:
    with pytest.raises(DataError) as raised:
        _split(source, **config)
    return str(raised.value)


def _csv(path: Path, content: str) -> Source:
    path.write_text(content)
    return read_files(str(path))


def test_splits_of_the_source_are_taken_as_they_are() -> None:
    """Rows keep their order, their texts and their places, under one label map."""
    splits = _split(_source(train=LABELS, validation=["pos", "neg"], test=["neg"]))
    assert splits.class_names == ("neg", "pos")
    assert splits.train.texts.to_pylist() == [f"train {row}" for row in range(100)]
    assert splits.train.labels.tolist() == [0, 1] * 50
    assert splits.validation.labels.tolist() == [1, 0]
    assert splits.test is not None
    assert splits.test.texts.to_pylist() == ["test 0"]
    assert splits.train.rows.tolist() == list(range(100))


def test_validation_is_a_tenth_of_train_by_default() -> None:
    """Without a validation split a tenth of every class is set aside, and there is no test split."""
    splits = _split(_source(train=LABELS))
    assert splits.test is None
    assert Counter(splits.validation.labels.tolist()) == {0: 5, 1: 5}
    assert Counter(splits.train.labels.tolist()) == {0: 45, 1: 45}


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("shares", [{"validation": 0.1, "test": 0.1}, {"validation": 0.33, "test": 0.6}, {"test": 0.2}])
def test_shares_are_disjoint_and_complete(shares: dict[str, float], seed: int) -> None:
    """Every row is in exactly one part, in the source's order, and each class is shared out evenly."""
    splits = _split(
        _source(train=["a"] * 200 + ["b"] * 100), seed, **{f"{name}_split": share for name, share in shares.items()}
    )
    rows = np.concatenate([part.rows for part in splits.parts()])
    assert sorted(rows) == list(range(300))
    for part in splits.parts():
        assert (np.diff(part.rows) > 0).all()
        assert part.texts.to_pylist() == [f"train {row}" for row in part.rows]
        assert part.labels.tolist() == [int(row >= 200) for row in part.rows]
        if part.name in shares:
            assert np.bincount(part.labels).tolist() == [round(200 * shares[part.name]), round(100 * shares[part.name])]


def test_share_does_not_depend_on_the_other_share() -> None:
    """Validation has the same rows whether or not a test share is cut, in either order, and the reverse."""
    train = _split(_source(train=LABELS)).train
    both = set_aside(train, {"validation": 0.2, "test": 0.3}, 5)
    reverse = set_aside(train, {"test": 0.3, "validation": 0.2}, 5)
    for name, share in (("validation", 0.2), ("test", 0.3)):
        alone = set_aside(train, {name: share}, 5)[name]
        assert both[name].rows.tolist() == reverse[name].rows.tolist() == alone.rows.tolist()
    assert not set(both["validation"].rows) & set(both["test"].rows)


def test_shares_are_drawn_by_seed() -> None:
    """The same seed draws the same rows, another seed others."""
    first, again, other = (_split(_source(train=LABELS), seed).validation.rows.tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_share_of_many_small_classes_comes_to_its_size() -> None:
    """Classes too small for a row of their own share still give rows, so that the whole part has its size."""
    labels = [f"class {number}" for number in range(50)] * 4
    assert len(_split(_source(train=labels)).validation) == 20


@pytest.mark.parametrize("shares", [{"validation": 0.1}, {"validation": 0.9}, {"validation": 0.5, "test": 0.49}])
def test_every_class_stays_in_train(shares: dict[str, float]) -> None:
    """A class with a single example, or with fewer than the shares would take, keeps one in train."""
    train = _split(_source(train=[*LABELS, "rare", "few", "few"]), validation_split=0.01).train
    labels = np.array([0] * 40 + [1] * 2 + [2])
    small = Split("train", train.texts[:43], labels, train.rows[:43])
    parts = set_aside(small, shares, 0)
    assert set(parts["train"].labels.tolist()) == {0, 1, 2}
    assert sum(map(len, parts.values())) == 43


def test_shares_that_cannot_be_cut_are_refused() -> None:
    """A share of no row, and shares that leave nothing, are refused with their numbers."""
    assert "data.validation_split: 0.1 of 4 rows comes to no row" in _refused(_source(train=["a", "b"] * 2))
    refused = _refused(_source(train=LABELS), validation_split=0.6, test_split=0.5)
    assert "0.6 and 0.5 leave nothing to train on" in refused


def test_shares_are_cut_from_the_slice_of_train() -> None:
    """With a slice as train, the carved rows are rows of that slice, numbered as in the source."""
    splits = _split(_source(train=LABELS), train_split="train[20:60]", validation_split=0.25)
    assert sorted([*splits.train.rows, *splits.validation.rows]) == list(range(20, 60))
    assert len(splits.validation) == 10


def test_slices_of_one_split_may_be_used_side_by_side() -> None:
    """Two slices of train that touch each other do not overlap."""
    splits = _split(_source(train=LABELS), train_split="train[:80%]", validation_split="train[80%:]")
    assert (len(splits.train), splits.validation.rows.tolist()) == (80, list(range(80, 100)))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"validation_split": "train[:10]"}, "data.validation_split: train and validation have 10 rows of train"),
        ({"test_split": "train"}, "data.test_split: train and test have 100 rows of train"),
        ({"validation_split": "test[:5]"}, "data.test_split: validation and test have 5 rows of test"),
    ],
)
def test_rows_in_two_parts_are_refused(config: dict[str, Any], message: str) -> None:
    """Figures on rows that were learnt from or chosen by would mislead."""
    assert message in _refused(_source(train=LABELS, test=LABELS[:10]), **config)


def test_unlabelled_rows_are_left_out_and_counted() -> None:
    """-1 under declared class names is no label; the rows are counted once and the places of the others stay."""
    splits = _split(_source(["neg", "pos"], train=[0, 1, -1, 1, 0] * 10, validation=[-1, 1, 0]))
    assert (len(splits.train), splits.train.unlabelled) == (40, 10)
    assert splits.train.rows[:5].tolist() == [0, 1, 3, 4, 5]
    assert (splits.validation.rows.tolist(), splits.validation.unlabelled) == ([1, 2], 1)
    assert splits.validation.texts.to_pylist() == ["validation 1", "validation 2"]
    carved = _split(_source(["neg", "pos"], train=[0, 1, -1, 1, 0] * 10))
    assert sum(part.unlabelled for part in carved.parts()) == 10


def test_test_split_without_labels() -> None:
    """The hub's own test split may lack labels and is then left out; one that is asked for must have them."""
    source = _source(["neg", "pos"], train=[0, 1] * 10, test=[-1] * 3)
    assert _split(source).test is None
    assert "data.test_split: none of its 3 rows has a label" in _refused(source, test_split="test")


def test_declared_names_are_the_classes() -> None:
    """The hub's class names and their order stay, even where train lacks one of them."""
    splits = _split(_source(["z", "a", "m"], train=[0, 1] * 10))
    assert splits.class_names == ("z", "a", "m")


def test_unknown_label_is_refused() -> None:
    """A label that only validation or test has is named with its rows."""
    source = _source(train=LABELS, test=["pos", "odd", "odd"])
    assert "reviews test column label: labels that the training data does not have: 'odd' (2 rows)" in _refused(source)


@pytest.mark.parametrize("labels", [["neg"] * 500 + ["pos"] * 500, ["neg"] * 950 + ["pos"] * 50])
def test_suggestion_for_data_sorted_by_label_works(labels: list[str]) -> None:
    """The slice that is suggested in place of one with a single class can be trained on."""
    source = _source(train=labels)
    refused = _refused(source, train_split="train[:200]")
    assert "all 200 rows have the label 'neg'" in refused
    suggested = refused.rpartition("data.train_split: ")[2].strip()
    splits = _split(source, train_split=suggested)
    assert set(splits.train.labels) == set(splits.validation.labels) == {0, 1}
    assert 200 <= len(splits.train) + len(splits.validation) <= 201


def test_one_class_throughout_is_refused() -> None:
    """Where no slice helps, none is suggested."""
    refused = _refused(_source(train=["neg"] * 20))
    assert "there is nothing to tell apart" in refused
    assert "train[" not in refused
    refused = _refused(_source(["neg", "pos"], train=[0, 1], unsupervised=[-1] * 5), train_split="unsupervised")
    assert "no row has a label" in refused


def test_missing_columns_are_reported_together() -> None:
    """Both columns are named with what there is and the nearest name."""
    refused = _refused(_source(train=LABELS), text_column="Text ", label_column="sentiment")
    assert "no column 'Text '; found 'text', 'label'\n  fix: did you mean data.text_column: text?" in refused
    assert "no column 'sentiment'; found 'text', 'label'\n  fix: set data.label_column to one of them" in refused


def test_swapped_columns_are_refused() -> None:
    """Texts where the labels should be are recognised."""
    refused = _refused(_source(train=LABELS), text_column="label", label_column="text")
    assert "is the text in the label column?" in refused


@pytest.mark.parametrize("line", ['{"text": "c", "label": ["x"]}', '{"text": ["c"], "label": "x"}'])
def test_columns_of_lists_are_refused(line: str, tmp_path: Path) -> None:
    """A text or a label that is a list is named by its line."""
    source = _csv(tmp_path / "data.jsonl", '{"text": "a", "label": "x"}\n' + line)
    assert "text in line 1, list in line 2" in _refused(source)


def test_column_of_numbers_is_no_text() -> None:
    """Numbers as texts would not be as they were written."""
    source = Source("reviews", None, {"train": pa.table({"text": [1, 2], "label": ["a", "b"]})})
    assert "reviews train column text: values of kind int64, not texts" in _refused(source)


def test_missing_labels_of_a_file_are_refused_by_line(tmp_path: Path) -> None:
    """Empty and blank labels are named by line and row, as the whole file counts them."""
    source = _csv(tmp_path / "data.csv", 'text,label\n"two\nlines",x\nb,y\nc,\nd, \ne,x\n')
    assert f"{tmp_path}/data.csv column label: 2 rows have no label: line 5 (row 3), line 6 (row 4)" in _refused(source)
    assert "line 6 (row 4)" in _refused(source, train_split="train[3:]")


def test_missing_text_is_an_empty_text() -> None:
    """Null and empty texts are learnt from as empty ones."""
    table = pa.table({"text": [None, ""] * 10, "label": ["a", "b"] * 10})
    splits = _split(Source("reviews", None, {"train": table}))
    assert set(splits.train.texts.to_pylist()) == {""}
    all_null = table.set_column(0, "text", pa.nulls(20))
    assert set(_split(Source("reviews", None, {"train": all_null})).train.texts.to_pylist()) == {""}


def _fingerprint(rows: list[tuple[str, Any]], chunk: int = 1000, kind: pa.DataType | None = None) -> str:
    texts, labels = zip(*rows, strict=True)
    table = pa.table({"text": pa.array(texts, kind), "label": labels})
    chunks = pa.concat_tables(table.slice(start, chunk) for start in range(0, len(table), chunk))
    return _split(Source("data", None, {"train": chunks, "validation": table[:3]})).fingerprint


def test_fingerprint_is_of_the_content_alone() -> None:
    """Chunks and Arrow's kinds of string do not show; texts, labels, their order and the class names do."""
    rows = [(f"text {place} é", "ab"[place % 2]) for place in range(20)]
    same = {_fingerprint(rows, chunk, kind) for chunk in (1, 7, 1000) for kind in (pa.string(), pa.large_string())}
    assert len(same) == 1
    moved = [("text 0 ét", "a"), ("ext 1 é", "b"), *rows[2:]]
    others = [
        [("other", "a"), *rows[1:]],
        [*rows[:-1], (rows[-1][0], "a")],
        [rows[1], rows[0], *rows[2:]],
        rows[:-1],
        [(text, label.upper()) for text, label in rows],
        moved,
    ]
    assert len(same | set(map(_fingerprint, others))) == 1 + len(others)


def test_labelled_split_is_under_the_classifiers_labels() -> None:
    """Ids follow the given names, columns may be named, and test is taken where there is one."""
    source = _source(train=["b", "a"], test=["a"])
    assert labelled_split(source, None, (None, None), ("b", "a", "c")).labels.tolist() == [1]
    part = labelled_split(source, "train[1:]", ("text", "label"), ("b", "a"))
    assert (part.name, part.texts.to_pylist(), part.rows.tolist()) == ("train[1:]", ["train 1"], [1])
    assert len(labelled_split(_source(train=["a", "b"]), None, (None, None), ("a", "b"))) == 2


def test_labelled_split_without_labels_is_refused() -> None:
    """There must be something to score."""
    with pytest.raises(DataError, match="--split: none of its 2 rows has a label"):
        labelled_split(_source(["a", "b"], test=[-1, -1]), None, (None, None), ("a", "b"))


def test_no_split_depends_on_chunks() -> None:
    """However Arrow holds the rows, the parts have the same rows."""
    parts = []
    for chunk in (1, 9, 1000):
        source = Source("reviews", None, {"train": _table(LABELS, chunk)})
        parts.append([part.texts.to_pylist() for part in _split(source, test_split=0.2).parts()])
    assert all(one == other for one, other in itertools.pairwise(parts))
