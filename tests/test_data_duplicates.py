"""Texts that stand more than once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from forgeml.data.duplicates import CHARACTERS_SHOWN, check_leaks, find_duplicates, samples, unseen
from forgeml.data.hashes import hash_texts
from forgeml.errors import DataError
from forgeml.records import Duplicates, Split
from tiny import listed


def _split(name: str, texts: Sequence[str], labels: Any = None, pairs: Sequence[str] | None = None) -> Split:
    found = np.zeros(len(texts), np.int64) if labels is None else np.asarray(labels)
    return Split(name, listed(texts, pairs), found)


def _found(*parts: Split) -> Duplicates:
    return find_duplicates(parts, {part.name: hash_texts(part.texts, part.name) for part in parts})


TRAIN = ["One", "two", "three", "four", "", "five"]


def test_leaks_are_counted_with_their_share_and_three_samples() -> None:
    """What of a part also stands in train, written otherwise or not, with the texts as the part has them."""
    validation = _split("validation", ["new", "ONE", "two ", "th\u200bree", "four", " "])
    duplicates = _found(_split("train", TRAIN), validation, _split("test", ["other"]))
    first, second = duplicates.leaks
    assert (first.split, first.count, first.rows) == ("validation", 4, 6)
    assert first.samples == ("ONE", "two", "th\u200bree")
    assert (second.split, second.count, second.rows, second.samples) == ("test", 0, 1, ())


def test_empty_texts_are_counted_apart() -> None:
    """They are no duplicates of each other, in no part and in no two."""
    duplicates = _found(_split("train", ["a", "", " ", "\u200b"], [0, 1, 0, 1]), _split("validation", ["", "b"]))
    assert duplicates.empty == {"train": 3, "validation": 1}
    assert duplicates.repeated == {"train": 0, "validation": 0}
    assert duplicates.leaks[0].count == 0
    assert duplicates.conflicting == 0


def test_repeated_texts_are_counted_from_the_second_on() -> None:
    """Three times the same text are two repetitions."""
    duplicates = _found(_split("train", ["a", "b", "A ", "a", "b"]), _split("validation", ["c", "c"]))
    assert duplicates.repeated == {"train": 3, "validation": 1}


@pytest.mark.parametrize(
    ("labels", "conflicting"),
    [
        ([0, 1, 1, 0, 0, 1, 0], 2),
        ([0, 0, 1, 0, 1, 0, 1], 0),
        ([0.5, 0.5, 1, 0.75, 1, 0.5, 2], 1),
        ([[1, 0], [1, 0], [0, 1], [1, 1], [0, 1], [1, 0], [0, 0]], 1),
    ],
    ids=["classes", "no conflict", "numbers", "several classes"],
)
def test_texts_with_two_labels_count_once_each(labels: Any, conflicting: int) -> None:
    """However often a text stands in train with different labels, it is one text to look at."""
    texts = ["same", "alone", "twice", "Same", "twice ", "same", "other"]
    duplicates = _found(_split("train", texts, labels), _split("validation", ["x"]))
    assert duplicates.conflicting == conflicting
    assert len(duplicates.conflicting_samples) == conflicting


def test_pairs_are_the_same_where_both_texts_are() -> None:
    """One text of the two in common is no duplicate; the sample shows both."""
    train = _split("train", ["a", "a"], pairs=["b", "c"])
    duplicates = _found(train, _split("validation", ["A", "a", "b"], pairs=["c", "d", "a"]))
    assert duplicates.leaks[0].count == 1
    assert duplicates.leaks[0].samples == ("A / c",)


def test_samples_are_short() -> None:
    """Of a long text the beginning is shown, on one line."""
    [sample] = samples(_split("train", ["word\n" * 1000]), np.array([0]))
    assert len(sample) == CHARACTERS_SHOWN
    assert sample.startswith("word word ")
    assert sample.endswith("…")


def test_unseen_texts_are_those_that_train_lacks() -> None:
    """A repeated text of the part is unseen both times; an empty one too, as it is no text."""
    train, test = _split("train", ["a", "b", ""]), _split("test", ["A", "c", "c", "", "b"])
    hashes = {part.name: hash_texts(part.texts, part.name) for part in (train, test)}
    assert unseen(test, hashes).tolist() == [False, True, True, True, False]


@pytest.mark.parametrize(("leaked", "refused"), [(0, False), (2, False), (3, True), (4, True)])
def test_part_of_which_more_than_half_stands_in_train_is_refused(leaked: int, refused: bool) -> None:
    """Its figures would mislead; the message says how many and what can be done."""
    test = _split("test", [f"t{row}" for row in range(leaked)] + [f"n{row}" for row in range(4 - leaked)])
    duplicates = _found(_split("train", [f"t{row}" for row in range(9)]), _split("validation", ["x"]), test)
    if not refused:
        check_leaks(duplicates)
        return
    with pytest.raises(DataError, match=f"{leaked} of 4 texts .* also stand in train, such as 't0'") as raised:
        check_leaks(duplicates)
    [problem] = raised.value.problems
    assert problem.where == "data.test_split"
    assert "data.drop_duplicates: true" in problem.fix
