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
from forgeml.data.reading.files import read_files
from forgeml.data.splits import labelled_split, make_splits
from forgeml.data.texts import read
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


def _texts(part: Split) -> list[str]:
    return read(part.texts, 0, len(part))[0]


def _labelled(source: Source, wanted: str | None, names: tuple[str, ...], **config: Any) -> Split:
    return labelled_split(source, wanted, DataConfig(dataset="reviews", **config), names)


def _csv(path: Path, content: str) -> Source:
    path.write_text(content)
    return read_files(DataConfig(dataset=str(path)))


def test_splits_of_the_source_are_taken_as_they_are() -> None:
    """Rows keep their order, their texts and their places, under one label map."""
    splits = _split(_source(train=LABELS, validation=["pos", "neg"], test=["neg"]))
    assert splits.class_names == ("neg", "pos")
    assert _texts(splits.train) == [f"train {row}" for row in range(100)]
    assert splits.train.labels.tolist() == [0, 1] * 50
    assert splits.validation.labels.tolist() == [1, 0]
    assert splits.test is not None
    assert _texts(splits.test) == ["test 0"]
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
        assert _texts(part) == [f"train {row}" for row in part.rows]
        assert part.labels.tolist() == [int(row >= 200) for row in part.rows]
        if part.name in shares:
            assert np.bincount(part.labels).tolist() == [round(200 * shares[part.name]), round(100 * shares[part.name])]


def test_shares_are_drawn_by_seed() -> None:
    """The same seed draws the same rows, another seed others."""
    first, again, other = (_split(_source(train=LABELS), seed).validation.rows.tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_share_of_many_small_classes_comes_to_its_size() -> None:
    """Classes too small for a row of their own share still give rows, so that the whole part has its size."""
    labels = [f"class {number}" for number in range(50)] * 4
    assert len(_split(_source(train=labels)).validation) == 20


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
    assert (len(splits.train), splits.train.left_out) == (40, {"without a label": 10})
    assert splits.train.rows[:5].tolist() == [0, 1, 3, 4, 5]
    assert (splits.validation.rows.tolist(), splits.validation.left_out) == ([1, 2], {"without a label": 1})
    assert _texts(splits.validation) == ["validation 1", "validation 2"]
    carved = _split(_source(["neg", "pos"], train=[0, 1, -1, 1, 0] * 10))
    assert [part.left_out for part in carved.parts()] == [{"without a label": 10}, {}]


def test_test_split_without_labels() -> None:
    """The hub's own test split may lack labels and is then left out; one that is asked for must have them."""
    source = _source(["neg", "pos"], train=[0, 1] * 10, test=[-1] * 3)
    splits = _split(source)
    assert splits.test is None
    assert splits.notes == ("no test figures: none of the 3 rows of test has a label",)
    refused = _refused(source, test_split="test")
    assert "data.test_split: no row is left: 3 rows without a label" in refused


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
    assert "text in line 1, list of texts in line 2" in _refused(source)


def test_column_of_numbers_is_no_text() -> None:
    """Numbers as texts would not be as they were written."""
    source = Source("reviews", None, {"train": pa.table({"text": [1, 2], "label": ["a", "b"]})})
    assert "reviews train column text: values of kind int64, not texts" in _refused(source)


def test_missing_labels_of_a_file_are_refused_by_line(tmp_path: Path) -> None:
    """Empty and blank labels are named by line and row, as the whole file counts them."""
    source = _csv(tmp_path / "data.csv", 'text,label\n"two\nlines",x\nb,y\nc,\nd, \ne,x\n')
    places = f"{tmp_path}/data.csv:5 (row 3), {tmp_path}/data.csv:6 (row 4)"
    assert f"{tmp_path}/data.csv column label: 2 rows without a label: {places}\n" in _refused(source)
    assert "data.csv:6 (row 4)" in _refused(source, train_split="train[3:]")


def test_missing_text_is_an_empty_text() -> None:
    """Null and empty texts are learnt from as empty ones, and their number is told."""
    table = pa.table({"text": [None, "", " ", *(f"text {row}" for row in range(27))], "label": ["a", "b"] * 15})
    source = Source("reviews", None, {"train": table})
    splits = _split(source, train_split="train[:20]", validation_split="train[20:]")
    assert _texts(splits.train)[:4] == ["", "", " ", "text 0"]
    assert splits.duplicates.empty == {"train": 3, "validation": 0}


@pytest.mark.parametrize("missing", ["", " ", "\u200b", None])
def test_part_of_mostly_empty_texts_is_refused(missing: str | None) -> None:
    """Above half of a part it is hardly the column of the text; half of it is told only."""
    texts = ["a", "b", "c", missing, missing, missing]
    tables = {"train": _table(LABELS), "test": pa.table({"text": texts, "label": ["neg", "pos"] * 3})}
    splits = _split(Source("reviews", None, tables))
    assert splits.duplicates.empty["test"] == 3
    tables["test"] = tables["test"][1:]
    refused = _refused(Source("reviews", None, tables))
    assert "data.text_column: 3 of 5 texts of test are empty" in refused


def _fingerprint(rows: list[tuple[str, Any]], chunk: int = 1000, kind: pa.DataType | None = None, **config: Any) -> str:
    texts, labels = zip(*rows, strict=True)
    table = pa.table({"text": pa.array(texts, kind), "label": labels})
    chunks = pa.concat_tables(table.slice(start, chunk) for start in range(0, len(table), chunk))
    tables = {"train": chunks, "validation": pa.table({"text": ["new"], "label": labels[:1]})}
    return _split(Source("data", None, tables), **config).fingerprint


def test_fingerprint_is_of_the_content_alone() -> None:
    """Chunks and Arrow's kinds of string do not show; texts, labels, their order, class names and task do."""
    rows = [(f"text {place} é", "12"[place % 2]) for place in range(20)]
    same = {_fingerprint(rows, chunk, kind) for chunk in (1, 7, 1000) for kind in (pa.string(), pa.large_string())}
    assert len(same) == 1
    moved = [("text 0 ét", "1"), ("ext 1 é", "2"), *rows[2:]]
    others = [
        [("other", "1"), *rows[1:]],
        [("Text 0 é", "1"), *rows[1:]],
        [*rows[:-1], (rows[-1][0], "1")],
        [rows[1], rows[0], *rows[2:]],
        rows[:-1],
        [(text, label + "0") for text, label in rows],
        moved,
    ]
    tasks = [_fingerprint(rows, task=task) for task in ("single_label", "multi_label", "regression")]
    assert tasks[0] in same
    assert len(same | set(tasks) | set(map(_fingerprint, others))) == len(tasks) + len(others)


def test_fingerprints_of_the_parts() -> None:
    """Each part has its own, which does not depend on the labels."""
    first = _split(_source(train=LABELS, validation=["neg"], test=["pos"])).fingerprints
    other = _split(_source(train=LABELS, validation=["pos"], test=["pos"])).fingerprints
    assert list(first) == ["train", "validation", "test"]
    assert first == other
    assert len(set(first.values())) == 3


def test_labelled_split_is_under_the_classifiers_labels() -> None:
    """Ids follow the given names, columns may be named, and test is taken where there is one."""
    source = _source(train=["b", "a"], test=["a"])
    assert _labelled(source, None, ("b", "a", "c")).labels.tolist() == [1]
    part = _labelled(source, "train[1:]", ("b", "a"), text_column="text", label_column="label")
    assert (part.name, _texts(part), part.rows.tolist()) == ("train[1:]", ["train 1"], [1])
    assert len(_labelled(_source(train=["a", "b"]), None, ("a", "b"))) == 2


@pytest.mark.parametrize(
    ("task", "labels", "names", "expected"),
    [
        ("single_label", ["1.0", "2.0"], ("2", "1"), [1, 0]),
        ("multi_label", ["a|b", "b"], ("b", "a"), [[1, 1], [1, 0]]),
        ("multi_label", ["a", "b"], ("b", "a"), [[0, 1], [1, 0]]),
        ("regression", ["1", "2"], ("label",), [1.0, 2.0]),
    ],
)
def test_labelled_split_is_read_by_the_classifiers_task(
    task: str, labels: list[str], names: tuple[str, ...], expected: Any
) -> None:
    """The task that was learnt holds, whatever these labels alone look like."""
    assert _labelled(_source(test=labels), None, names, task=task).labels.tolist() == expected


def test_labelled_split_refuses_labels_that_the_classifier_lacks() -> None:
    """They are named with their rows."""
    with pytest.raises(DataError, match=r"does not have: 'odd' \(2 rows\)"):
        _labelled(_source(test=["a", "odd", "odd"]), None, ("a", "b"))


def test_labelled_split_without_labels_is_refused() -> None:
    """There must be something to score."""
    with pytest.raises(DataError, match="--split: no row is left: 2 rows without a label"):
        _labelled(_source(["a", "b"], test=[-1, -1]), None, ("a", "b"))


def test_several_text_columns_are_joined_by_line_breaks(tmp_path: Path) -> None:
    """`data.text_column` as a list makes one text of them, in its order; a missing one is an empty line."""
    lines = [f"t{row},c{row},{'xy'[row % 2]}" for row in range(20)]
    source = _csv(tmp_path / "data.csv", "\n".join(["title,content,label", *lines, ",c20,x"]) + "\n")
    splits = _split(source, text_column=["content", "title"], validation_split="train[:4]", train_split="train[4:]")
    assert _texts(splits.train)[0] == "c4\nt4"
    assert _texts(splits.train)[-1] == "c20\n"
    assert splits.columns["text_column"] == ["content", "title"]


def test_pairs_are_found_and_kept_apart() -> None:
    """Two columns whose names belong together are both there, and the choice is recorded."""
    names = {"premise": [f"p{row}" for row in range(20)], "hypothesis": [f"h{row}" for row in range(20)]}
    splits = _split(Source("nli", None, {"train": pa.table({**names, "label": ["a", "b"] * 10})}))
    rows = splits.train.rows
    assert read(splits.train.texts, 0, 20) == ([f"p{row}" for row in rows], [f"h{row}" for row in rows])
    assert splits.columns == {
        "text_column": "premise",
        "text_pair_column": "hypothesis",
        "label_column": "label",
        "label_separator": None,
    }


def test_rare_classes_are_left_out_of_all_parts_and_counted() -> None:
    """`data.min_count` looks at train; the rows of the classes that it leaves out are in no part."""
    source = _source(train=[*LABELS, "rare", "odd", "odd"], validation=["neg", "odd"], test=["rare", "pos", "rare"])
    splits = _split(source, min_count=3)
    assert splits.class_names == ("neg", "pos")
    assert [part.left_out for part in splits.parts()] == [
        {"of rare classes": 3},
        {"of rare classes": 1},
        {"of rare classes": 2},
    ]
    assert splits.test is not None
    assert splits.test.rows.tolist() == [1]
    assert _split(source, min_count=2).class_names == ("neg", "odd", "pos")


def test_rare_classes_of_several_are_left_out_of_the_lists() -> None:
    """The rows stay, as their other labels are still true."""
    splits = _split(_source(train=[["a"], ["b"], ["a", "b"], ["a", "c"]] * 5 + [["d", "a"]]), min_count=2)
    assert splits.class_names == ("a", "b", "c")
    assert sum(map(len, splits.parts())) == 21
    assert all(not part.left_out for part in splits.parts())


def test_part_of_rare_classes_alone_is_refused() -> None:
    """A part that is asked for and loses all of its rows is refused, one that is merely there is told of."""
    source = _source(train=[*LABELS, "rare"], test=["rare", "rare"])
    refused = _refused(source, min_count=2, test_split="test")
    assert "data.test_split: no row is left: 2 rows of rare classes" in refused
    splits = _split(source, min_count=2)
    assert splits.test is None
    assert splits.notes == ("no test figures: none of the 2 rows of test has a label that is not rare",)


@pytest.mark.parametrize(
    "shares", [{}, {"validation_split": 0.5}, {"validation_split": "train[:4]", "test_split": 0.2}]
)
def test_class_of_one_example_and_a_share_are_refused(shares: dict[str, Any]) -> None:
    """It cannot be both learnt from and scored on; the message names the classes and the setting against them."""
    if "test_split" in shares:
        shares = {**shares, "train_split": "train[4:]"}
    source = _source(train=[*LABELS, "rare", "lone"])
    refused = _refused(source, **shares)
    assert "2 classes with one example" in refused
    assert "'lone', 'rare'" in refused
    assert "data.min_count: 2" in refused
    assert _split(source, **shares, min_count=2).class_names == ("neg", "pos")


def test_class_of_one_example_is_taken_where_no_share_is_cut() -> None:
    """With a validation split of its own nothing has to be cut from it."""
    splits = _split(_source(train=[*LABELS, "rare"], validation=["neg"]))
    assert splits.class_names == ("neg", "pos", "rare")


def test_near_equal_labels_are_refused() -> None:
    """One class written in two ways is told with the counts."""
    assert "'neg' (50 rows), 'NEG' (1 row)" in _refused(_source(train=[*LABELS, "NEG"]))


@pytest.mark.parametrize(
    ("labels", "task", "names"),
    [
        (["1.0", "2.0"] * 20, "single_label", ("1", "2")),
        ([1.0, 2.0, float("nan"), 1.0] * 10, "single_label", ("1", "2")),
        ([0.25, 0.5, 0.75, 1.0] * 10, "regression", ("label",)),
        ([["a"], ["a", "b"]] * 20, "multi_label", ("a", "b")),
        (["['a']", "['a', 'b']", "[]", '["b"]'] * 10, "multi_label", ("a", "b")),
        (["a|b", "a", "b", "b|a"] * 10, "multi_label", ("a", "b")),
        (["card arrival", "card lost", "card"] * 10, "single_label", ("card", "card arrival", "card lost")),
    ],
    ids=["whole", "gaps", "fractions", "lists", "written lists", "joined", "two words"],
)
def test_task_and_classes_are_seen_from_the_labels(labels: list[Any], task: str, names: tuple[str, ...]) -> None:
    """From the labels as they come to a task, class names and shares of each class."""
    splits = _split(_source(train=labels))
    assert (splits.task, splits.class_names) == (task, names)
    kind = {"single_label": np.int64, "multi_label": np.uint8, "regression": np.float32}[task]
    assert all(part.labels.dtype == kind for part in splits.parts())


def test_missing_numbers_of_the_hub_are_left_out() -> None:
    """A number that is not there is not learnt as zero."""
    splits = _split(
        _source(train=[0.5, None, 1.5, float("nan")] * 10), validation_split="train[:8]", train_split="train[8:]"
    )
    assert splits.train.left_out == {"without a label": 16}
    assert sorted(set(splits.train.labels.tolist())) == [0.5, 1.5]


LEAKY = {
    "train": [f"text {row}" for row in range(40)],
    "test": ["TEXT 3", "text  5", "new", "text 7 ", "other", "x", "y", "z"],
}


def _leaky(**more: list[str]) -> Source:
    tables = {
        name: pa.table({"text": texts, "label": (["a", "b"] * len(texts))[: len(texts)]})
        for name, texts in {**LEAKY, **more}.items()
    }
    return Source("reviews", None, tables)


def test_texts_of_test_that_stand_in_train_are_told() -> None:
    """Their count, their share and the first three, and which texts of test are unseen."""
    splits = _split(_leaky(validation=["text 7", "unknown"]))
    leaks = {leak.split: leak for leak in splits.duplicates.leaks}
    assert (leaks["validation"].count, leaks["validation"].rows) == (1, 2)
    assert (leaks["test"].count, leaks["test"].rows) == (3, 8)
    assert leaks["test"].samples == ("TEXT 3", "text 5", "text 7")
    assert splits.unseen is not None
    assert splits.unseen.tolist() == [False, False, True, False, True, True, True, True]


def test_leaks_above_half_are_refused_unless_they_are_dropped() -> None:
    """`data.drop_duplicates` takes them out of train and counts them; nothing is left to be told."""
    source = _leaky(test=["text 1", "TEXT 2", "text\t3", "new"], validation=["text 4", "unknown"])
    assert "data.test_split: 3 of 4 texts (75%) also stand in train, such as 'text 1'" in _refused(source)
    splits = _split(source, drop_duplicates=True)
    assert splits.train.left_out == {"also in validation or test": 4}
    assert splits.train.rows.tolist() == [0, *range(5, 40)]
    assert all(leak.count == 0 for leak in splits.duplicates.leaks)
    assert splits.unseen is None
    assert splits.fingerprint != _split(_leaky(test=["new"]), drop_duplicates=True).fingerprint


def test_train_that_is_all_duplicates_is_refused() -> None:
    """Nothing would be left to learn from."""
    source = _leaky(train=["same", "SAME", "same "] * 4, test=["same", "new", "x"], validation=["y", "z"])
    refused = _refused(source, drop_duplicates=True)
    assert "data.drop_duplicates: all of " in refused
    assert "also in validation or test" in refused


def test_texts_with_two_labels_are_told() -> None:
    """Each of them once, with samples."""
    source = _leaky(train=[*LEAKY["train"], "text 0", "Text 1", "text 1", "twice"], validation=["new"])
    duplicates = _split(source).duplicates
    assert duplicates.repeated["train"] == 3
    assert duplicates.conflicting == 1
    assert [text.casefold() for text in duplicates.conflicting_samples] == ["text 1"]


def test_both_looks_at_the_texts_are_reported() -> None:
    """Who waits hears of each part, while it is read and while it is compared."""
    told: list[tuple[str, int, int]] = []
    make_splits(_source(train=LABELS, test=["neg"]), DataConfig(dataset="x"), 0, lambda *report: told.append(report))
    sizes = {"train": 90, "validation": 10, "test": 1}
    assert told == [(f"{look} {name}", size, size) for look in ("read", "compare") for name, size in sizes.items()]


def test_no_split_depends_on_chunks() -> None:
    """However Arrow holds the rows, the parts have the same rows."""
    parts = []
    for chunk in (1, 9, 1000):
        source = Source("reviews", None, {"train": _table(LABELS, chunk)})
        parts.append([_texts(part) for part in _split(source, test_split=0.2).parts()])
    assert all(one == other for one, other in itertools.pairwise(parts))


def test_class_that_would_lose_all_its_examples_is_refused() -> None:
    """Dropping duplicates must not take a class out of train without a word."""
    labels = ["neg"] * 4 + ["pos"] * 20
    tables = {"train": _table(labels, name="train"), "test": _table(["neg"] * 4 + ["pos"] * 8, name="test")}
    texts = [f"train {row}" for row in range(4)] + [f"new {row}" for row in range(8)]
    tables["test"] = pa.table({"text": texts, "label": ["neg"] * 4 + ["pos"] * 8})
    refused = _refused(
        Source("reviews", None, tables), drop_duplicates=True, validation_split="train[20:]", train_split="train[:20]"
    )
    assert "data.drop_duplicates: all of 'neg' also in validation or test" in refused


def test_test_without_a_label_column_is_not_scored() -> None:
    """The other parts are as they would be, and it is told; a test that is asked for has to have one."""
    tables = {"train": _table(LABELS), "test": pa.table({"text": ["a", "b"]})}
    splits = _split(Source("reviews", None, tables))
    assert (len(splits.train), splits.test) == (90, None)
    assert splits.notes == ("no test figures: test has no column 'label'",)
    assert "no column 'label'" in _refused(Source("reviews", None, tables), test_split="test")


def test_numbers_of_declared_classes_can_be_told() -> None:
    """Stars with names are numbers where the task says so; -1 is none of them."""
    source = _source(["1 star", "2 stars", "3 stars"], train=[0, 1, 2, -1] * 10)
    splits = _split(source, task="regression")
    assert (splits.class_names, sorted(set(splits.train.labels.tolist()))) == (("label",), [0.0, 1.0, 2.0])


def test_rows_of_rare_labels_are_left_out_of_what_is_scored() -> None:
    """A file that the training scored can be scored again."""
    source = _source(test=["pos", "neg", "odd"])
    part = labelled_split(source, None, DataConfig(dataset="reviews"), ["neg", "pos"], ["odd"])
    assert (part.labels.tolist(), part.left_out) == ([1, 0], {"of rare classes": 1})


def test_what_to_score_is_not_guessed() -> None:
    """Train and validation without a test are not scored on train by accident."""
    source = _source(train=LABELS, validation=LABELS)
    with pytest.raises(DataError, match="--split: reviews has no split test; it has train, validation"):
        labelled_split(source, None, DataConfig(dataset="reviews"), ["neg", "pos"])
