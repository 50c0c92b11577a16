"""Shares of train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from forgeml.data.shares import select, set_aside
from forgeml.data.texts import read
from forgeml.errors import DataError
from forgeml.records import Split, Task
from tiny import listed


def _train(labels: Any, left_out: Mapping[str, int] | None = None) -> Split:
    found = np.asarray(labels)
    return Split("train", listed([f"text {row}" for row in range(len(found))]), found, left_out or {})


def test_parts_are_disjoint_and_complete() -> None:
    """Every row is in exactly one part, in order, with its own text and label."""
    train = _train(np.arange(300) % 3)
    parts = set_aside(train, {"validation": 0.1, "test": 0.25}, 7)
    assert list(parts) == ["train", "validation", "test"]
    assert sorted(np.concatenate([part.rows for part in parts.values()])) == list(range(300))
    for name, part in parts.items():
        assert part.name == name
        assert (np.diff(part.rows) > 0).all()
        assert part.labels.tolist() == (part.rows % 3).tolist()
        assert read(part.texts, 0, len(part))[0] == [f"text {row}" for row in part.rows]
    assert np.bincount(parts["validation"].labels).tolist() == [10, 10, 10]
    assert np.bincount(parts["test"].labels).tolist() == [25, 25, 25]


def test_share_does_not_depend_on_the_other_share() -> None:
    """Validation has the same rows whether or not a test share is cut, in either order, and the reverse."""
    train = _train([0, 1] * 50)
    both = set_aside(train, {"validation": 0.2, "test": 0.3}, 5)
    reverse = set_aside(train, {"test": 0.3, "validation": 0.2}, 5)
    for name, share in (("validation", 0.2), ("test", 0.3)):
        alone = set_aside(train, {name: share}, 5)[name]
        assert both[name].rows.tolist() == reverse[name].rows.tolist() == alone.rows.tolist()
    assert not set(both["validation"].rows) & set(both["test"].rows)


@pytest.mark.parametrize("task", ["single_label", "regression"])
def test_shares_are_drawn_by_seed(task: Task) -> None:
    """The same seed draws the same rows, another seed others."""
    train = _train([0, 1] * 50)
    first, again, other = (
        set_aside(train, {"validation": 0.1}, seed, task)["validation"].rows.tolist() for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("shares", [{"validation": 0.1}, {"validation": 0.9}, {"validation": 0.5, "test": 0.49}])
def test_every_class_stays_in_train(shares: dict[str, float]) -> None:
    """A class with a single example, or with fewer than the shares would take, keeps one in train."""
    parts = set_aside(_train([0] * 40 + [1] * 2 + [2]), shares, 0)
    assert set(parts["train"].labels.tolist()) == {0, 1, 2}
    assert sum(map(len, parts.values())) == 43


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_numbers_are_drawn_from_all_rows_alike(share: float) -> None:
    """A regression has no classes: the share is one of the rows, whatever the numbers are."""
    numbers = np.linspace(-3, 3, 100, dtype=np.float32)
    parts = set_aside(_train(numbers), {"validation": share}, 0, "regression")
    assert len(parts["validation"]) == round(100 * share)
    assert len(parts["train"]) == 100 - round(100 * share)
    assert parts["validation"].labels.dtype == np.float32
    if share == 0.5:
        assert abs(float(parts["validation"].labels.mean())) < 1


def _several(*counts: tuple[list[int], int]) -> np.ndarray:
    return np.array([row for row, count in counts for _ in range(count)], np.uint8)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shares", [{"validation": 0.1}, {"validation": 0.5}, {"validation": 0.4, "test": 0.5}])
def test_rare_classes_of_several_stay_in_train(shares: dict[str, float], seed: int) -> None:
    """A text counts as one of its rarest class, so that no class loses its last example to a share."""
    labels = _several(([1, 0, 0], 60), ([1, 1, 0], 20), ([1, 0, 1], 1), ([0, 0, 0], 19))
    parts = set_aside(_train(labels), shares, seed, "multi_label")
    assert parts["train"].labels.any(axis=0).all()
    assert sum(map(len, parts.values())) == 100
    for name, share in shares.items():
        assert len(parts[name]) == round(100 * share)


def test_classes_of_several_are_shared_out_evenly() -> None:
    """Frequent and rare classes, and texts without any, each give their share."""
    labels = _several(([1, 0], 60), ([1, 1], 20), ([0, 0], 20))
    found = set_aside(_train(labels), {"validation": 0.2}, 1, "multi_label")["validation"].labels
    assert len(found) == 20
    assert found.sum(axis=0).tolist() == [16, 4]


@pytest.mark.parametrize("task", ["single_label", "regression"])
def test_shares_that_cannot_be_cut_are_refused(task: Task) -> None:
    """A share of no row, and shares that leave nothing, are refused with their numbers."""
    with pytest.raises(DataError, match=r"data.validation_split: 0.1 of 4 rows comes to no row"):
        set_aside(_train([0, 1, 0, 1]), {"validation": 0.1}, 0, task)
    with pytest.raises(DataError, match=r"data.test_split: the shares 0.6 and 0.5 leave nothing to train on"):
        set_aside(_train([0, 1] * 20), {"validation": 0.6, "test": 0.5}, 0, task)


def test_what_was_left_out_is_counted_once() -> None:
    """The count stays with train."""
    parts = set_aside(_train([0, 1] * 20, {"without a label": 3}), {"validation": 0.1}, 0)
    assert parts["train"].left_out == {"without a label": 3}
    assert parts["validation"].left_out == {}


def test_rows_can_be_selected() -> None:
    """Texts, places and labels go together; under a new name nothing is counted as left out."""
    train = _train([0, 1, 0, 1], {"of rare classes": 2})
    chosen = np.array([False, True, True, False])
    same, other = select(train, chosen), select(train, chosen, "test")
    assert (same.name, same.left_out, other.name, other.left_out) == ("train", {"of rare classes": 2}, "test", {})
    for part in (same, other):
        assert (part.rows.tolist(), part.labels.tolist()) == ([1, 2], [1, 0])
        assert read(part.texts, 0, 2)[0] == ["text 1", "text 2"]
