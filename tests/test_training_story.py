"""The run's steps in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from forgeml.config.schema import TrainingConfig
from forgeml.events import Evaluation
from forgeml.records import Cut, Duplicates, EncodedTexts, Leak, Pretrained, Runtime, Source, Split, Splits, Task
from forgeml.training import story
from forgeml.training.averaging import Averaging
from forgeml.training.stopping import BestSoFar
from tiny import listed


def _split(name: str, rows: int, unlabelled: int = 0) -> Split:
    left_out = {"without a label": unlabelled} if unlabelled else {}
    return Split(name, listed(["a"] * rows), np.arange(rows) % 2, left_out)


def _splits(task: Task, train: Split, validation: Split, names: tuple[str, ...], **more: Any) -> Splits:
    columns = {"text_column": "text", "text_pair_column": None, "label_column": "label", "label_separator": None}
    empty = {"train": 0, "validation": 0}
    return Splits(
        train=train,
        validation=validation,
        test=None,
        task=task,
        class_names=names,
        columns={**columns, **more.get("columns", {})},
        fingerprints={},
        fingerprint="f",
        duplicates=Duplicates({}, more.get("leaks", ()), 0, (), {**empty, **more.get("empty", {})}),
        unseen=None,
        notes=more.get("notes", ()),
    )


def test_machine_says_what_was_not_expected() -> None:
    """A fallback makes the line a warning with the reason in it."""
    note = story.machine(Runtime("cpu", "bf16", 2, ("fp16 needs a CUDA GPU",)))
    assert note.warning
    assert note.text == "cpu, bf16, 2 threads; fp16 needs a CUDA GPU"
    assert not story.machine(Runtime("cpu", "fp32", 2)).warning


def test_processes_are_told() -> None:
    """Who starts several processes reads that they work together."""
    assert story.together(4).text == "4 processes, of which each computes its part of every batch"


@pytest.mark.parametrize(("fetched", "came"), [(True, "fetched into /cache"), (False, "cached in /cache")])
def test_model_says_size_and_place(fetched: bool, came: str) -> None:
    """A model of the hub is told with commit, size, and whether it was fetched or there already."""
    note, away = story.model(Pretrained("owner/name", "0123456789abcdef", "/cache", 267_954_768, fetched, "hub away"))
    assert (away.text, away.warning) == ("hub away", True)
    assert note.text == f"owner/name at commit 01234567, 268 MB, {came}"


def test_data_says_rows_classes_and_what_was_left_out() -> None:
    """Rows in each split, the classes, rows without a label, and the notes of the data."""
    splits = _splits(
        "single_label",
        _split("train", 1200),
        _split("validation", 30, 5),
        ("neg", "pos"),
        notes=("no test figures",),
        empty={"train": 3},
    )
    source = Source("owner/name", "abc", {}, stored="/cache", bytes=83_000_000)
    told, task, *odd = story.data(source, splits)
    assert told.text == "owner/name, 83 MB, cached in /cache; rows: train 1,200, validation 30"
    assert task.text == "one of 2 classes: neg, pos; from the columns text to label"
    assert [note.text for note in odd] == [
        "no test figures",
        "5 rows of validation left out: without a label",
        "3 of 1,200 texts of train are empty",
    ]
    assert all(note.warning for note in odd)


def test_task_says_what_the_labels_are() -> None:
    """Several labels with what joins them, numbers with their range, and both texts of pairs."""
    texts = listed(["a", "b"])
    numbers = Split("train", texts, np.array([-1.5, 4], np.float32))
    pairs = {"columns": {"text_column": ["a", "b"], "text_pair_column": "c"}}
    told = story.understood(_splits("regression", numbers, numbers, ("label",), **pairs))
    assert told == "a number, in train from -1.5 to 4; from the columns a, b, c to label"
    several = Split("train", texts, np.array([[1, 1], [0, 1]], np.uint8))
    told = story.understood(_splits("multi_label", several, several, ("x", "y"), columns={"label_separator": ";"}))
    assert told == "any of 2 classes: x, y; joined by a semicolon; from the columns text to label"


def test_findings_say_what_stands_in_train_too() -> None:
    """Texts that stand in train too are counted with their share and an example, and so are absent classes."""
    leak = Leak("validation", 3, 30, ("some text",))
    splits = _splits("single_label", _split("train", 40), _split("validation", 30), ("a", "b", "c"), leaks=(leak,))
    assert story.findings(splits) == [
        "3 of 30 texts of validation (10.0%) also stand in train, such as 'some text'",
        "1 class without an example in train: c",
        "1 class without an example in validation: c",
    ]


@pytest.mark.parametrize(
    ("long_texts", "windows", "longer"),
    [
        ("truncate", "", "longer than 30 and are cut"),
        ("head_tail", "", "longer than 30 (beginning and end are read) and are cut"),
        ("windows", " in 3 windows of up to 30", "longer than 16 windows and are cut"),
    ],
)
def test_lengths_say_how_many_are_cut(long_texts: str, windows: str, longer: str) -> None:
    """The share of texts above the limit is always told, and what is read of them."""
    encoded = EncodedTexts(np.zeros(40, np.int32), np.array([0, 10, 40]), 0, np.array([False, True]))
    if windows:
        encoded = replace(encoded, offsets=np.array([0, 10, 20, 40]), bounds=np.array([0, 1, 3]))
    note = story.lengths(encoded, Cut(30, long_texts))
    assert note.text == f"20 a text on average{windows}; 50.0% of the texts are {longer}"


def test_early_stop_says_why() -> None:
    """The metric and the patience that ended the run."""
    best = BestSoFar("accuracy", patience=1)
    best.improved_by(Evaluation("validation", 1, {"accuracy": 1.0}))
    assert "no better accuracy in 1 evaluations" in story.stopped_early(best).text


@pytest.mark.parametrize(
    ("size", "shown"), [(900, "1 kB"), (1_500_000, "1.5 MB"), (267_000_000, "267 MB"), (4.2e9, "4.2 GB")]
)
def test_sizes(size: int, shown: str) -> None:
    """Sizes are in decimal units, as the hub writes them."""
    assert story.megabytes(size) == shown


@pytest.mark.parametrize(
    ("packed", "batches"), [(True, "packed without padding"), (False, "padded to the longest of a batch")]
)
def test_plan_says_steps_and_texts(packed: bool, batches: str) -> None:
    """A step holds the texts of all batches that are added up for it."""
    config = TrainingConfig(batch_size=8, gradient_accumulation_steps=4, num_epochs=2)
    assert story.plan(config, 1200, packed=packed).text == f"1,200 steps of 32 texts in 2 epochs, {batches}"


def _averaging(evaluations: int, added: int) -> Averaging:
    """Of three evaluations, in a run that was to have `evaluations` and had `added`."""
    averaging = Averaging(TrainingConfig(average_last=3, patience=1), evaluations)
    for _ in range(added):
        averaging.add(torch.nn.Linear(500, 1))
    return averaging


def test_averaging_tells_its_memory_and_when_there_is_too_little() -> None:
    """The memory is told before the run, and what to set where there will be fewer evaluations than asked for."""
    model = torch.nn.Linear(499, 500)
    (note,) = story.averaging(_averaging(9, 0), model)
    assert (note.text, note.warning) == ("the weights at the last 3 evaluations, in 3.0 MB of memory", False)
    _, warning = story.averaging(_averaging(1, 0), model)
    assert warning.warning
    assert warning.text == "1 evaluation will be all; a lower logging.eval_interval gives more"
    assert story.averaging(Averaging(TrainingConfig(), 9), model) == []


def test_averaged_weights_are_told_with_what_became_of_them() -> None:
    """Whether they are kept, and that the run ended before there were as many as asked for."""
    best = BestSoFar("accuracy", patience=1)
    best.improved_by(Evaluation("validation", 1, {"accuracy": 1.0}, 12))
    kept, left = story.averaged(_averaging(9, 4), best, True), story.averaged(_averaging(9, 2), best, False)
    assert kept.text == "that was the mean of the weights at the last 3 evaluations; it is kept as the best model"
    assert "last 2 evaluations of the 3 asked for, as the run ended; step 12 has a better accuracy" in left.text
    assert (kept.warning, left.warning) == (False, True)
