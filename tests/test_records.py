"""The records that compute something."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from forgeml.records import Cut, Duplicates, EncodedTexts, Prediction, Split, Splits
from tiny import listed


def test_lengths_come_from_the_offsets() -> None:
    """Text i has the tokens between its offset and the next."""
    encoded = EncodedTexts(np.arange(6, dtype=np.int32), np.array([0, 2, 2, 6]), pad_id=0, lost=np.zeros(3, bool))
    assert len(encoded) == 3
    assert encoded.lengths.tolist() == [2, 0, 4]


def test_a_text_of_several_pieces_counts_once() -> None:
    """With windows a text is as long as all its pieces together."""
    offsets, bounds = np.array([0, 2, 2, 6]), np.array([0, 2, 3])
    encoded = EncodedTexts(np.arange(6, dtype=np.int32), offsets, pad_id=0, lost=np.zeros(2, bool), bounds=bounds)
    assert len(encoded) == 2
    assert encoded.lengths.tolist() == [2, 4]


def test_records_are_frozen() -> None:
    """What is handed on never changes on the way."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Cut(256).max_length = 128  # type: ignore[misc]


def _split(name: str, rows: list[int]) -> Split:
    texts = replace(listed([f"text {number}" for number in range(10)]), rows=np.array(rows))
    return Split(name, texts, np.zeros(len(rows), np.int64))


def test_a_split_knows_its_rows() -> None:
    """The places in the source are those of the texts, and there are as many labels."""
    split = _split("train", [1, 4, 7])
    assert len(split) == 3
    assert split.rows.tolist() == [1, 4, 7]


@pytest.mark.parametrize("test", [None, _split("test", [4])])
def test_parts_are_those_that_there_are(test: Split | None) -> None:
    """Train comes first, and a test part that is not there is not among them."""
    splits = Splits(
        train=_split("train", [0, 1]),
        validation=_split("validation", [2, 3]),
        test=test,
        task="single_label",
        class_names=("a", "b"),
        columns={},
        fingerprints={},
        fingerprint="",
        duplicates=Duplicates({}, (), 0, (), {}),
        unseen=None,
    )
    assert [part.name for part in splits.parts()] == ["train", "validation", *(["test"] if test else [])]


@pytest.mark.parametrize(
    ("prediction", "written"),
    [
        (
            Prediction(label="pos", score=0.75, scores={"neg": 0.25, "pos": 0.75}),
            {"label": "pos", "score": 0.75, "scores": {"neg": 0.25, "pos": 0.75}},
        ),
        (
            Prediction(labels=("joy",), scores={"joy": 0.9, "fear": 0.1}),
            {"labels": ["joy"], "scores": {"joy": 0.9, "fear": 0.1}},
        ),
        (Prediction(labels=(), scores={"joy": 0.2}), {"labels": [], "scores": {"joy": 0.2}}),
        (Prediction(value=0.0), {"value": 0.0}),
    ],
    ids=["single_label", "multi_label", "no_label_at_all", "regression"],
)
def test_a_prediction_is_written_by_what_its_task_fills(prediction: Prediction, written: dict[str, Any]) -> None:
    """A class, a list of classes or a number; no class at all and zero are answers too."""
    assert prediction.as_dict() == written
