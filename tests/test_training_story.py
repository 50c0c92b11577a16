"""The run's steps in words."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from forgeml.config.schema import TrainingConfig
from forgeml.records import EncodedTexts, Evaluation, Pretrained, Runtime, Source, Split, Splits
from forgeml.training import story
from forgeml.training.stopping import BestSoFar


def _split(name: str, rows: int, unlabelled: int = 0) -> Split:
    ids = np.zeros(rows, np.int64)
    return Split(name, pa.chunked_array([["a"] * rows]), ids, ids, unlabelled)


def test_machine_says_what_was_not_expected() -> None:
    """A fallback makes the line a warning with the reason in it."""
    note = story.machine(Runtime("cpu", "bf16", 2, ("fp16 needs a CUDA GPU",)))
    assert note.warning
    assert note.text == "cpu, bf16, 2 threads; fp16 needs a CUDA GPU"
    assert not story.machine(Runtime("cpu", "fp32", 2)).warning


@pytest.mark.parametrize(("fetched", "came"), [(True, "fetched into /cache"), (False, "cached in /cache")])
def test_model_says_size_and_place(fetched: bool, came: str) -> None:
    """A model of the hub is told with commit, size, and whether it was fetched or there already."""
    note, away = story.model(Pretrained("owner/name", "0123456789abcdef", "/cache", 267_954_768, fetched, "hub away"))
    assert (away.text, away.warning) == ("hub away", True)
    assert note.text == f"owner/name at commit 01234567, 268 MB, {came}"


def test_data_says_rows_classes_and_what_was_left_out() -> None:
    """Rows in each split, the classes, and rows without a label."""
    splits = Splits(
        _split("train", 1200), _split("validation", 30, 5), None, ("neg", "pos"), "f", ("3 texts are empty",)
    )
    source = Source("owner/name", "abc", {}, stored="/cache", bytes=83_000_000)
    told, odd = story.data(source, splits)
    assert told.text == (
        "owner/name, 83 MB, cached in /cache; rows: train 1,200, validation 30; 2 classes: neg, pos; "
        "5 rows without a label left out"
    )
    assert (odd.text, odd.warning) == ("3 texts are empty", True)


def test_lengths_say_how_many_are_cut() -> None:
    """The share of texts above the limit is always told."""
    note = story.lengths(EncodedTexts(np.zeros(40, np.int32), np.array([0, 10, 40]), 0, truncated=1), 30)
    assert note.text == "20 a text on average; 50.0% of the texts are longer than 30 and are cut"


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


def test_plan_says_steps_and_texts() -> None:
    """A step holds the texts of all batches that are added up for it."""
    config = TrainingConfig(batch_size=8, gradient_accumulation_steps=4, num_epochs=2)
    assert story.plan(config, 1200).text == "1,200 steps of 32 texts in 2 epochs"
