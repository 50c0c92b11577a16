"""How well and how fast engines answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forgeml.data.source import read_source
from forgeml.data.splits import labelled_split
from forgeml.inference.classifier import Classifier
from forgeml.inference.labelled import how_to_read
from forgeml.optimizing.measuring import ROUNDS, quality, speeds
from forgeml.records import ListedTexts, Prediction, Split
from tiny import listed


class Fixed:
    """A classifier of a task that is compared only."""

    def __init__(self, task: str, classes: int) -> None:
        """With thresholds of one half."""
        self.task, self.thresholds = task, np.full(classes, 0.5)


def part_of(labels: object) -> Split:
    """A split with these labels."""
    found = np.array(labels)
    return Split("test", listed(["a"] * len(found)), found)


def test_single_label_agrees_by_the_label() -> None:
    """One text of four is said to be of another class, wrongly: 25 points less."""
    part = part_of([0, 1, 1, 0])
    exact = np.array([[2, 0], [0, 2], [0, 1], [3, 0]], np.float32)
    other = exact + np.array([[0, 0], [0, 0], [1.5, 0], [-2, 0]], np.float32)
    found = quality(Fixed("single_label", 2), part, "accuracy", exact, other)
    assert (found.agreement, found.value, found.drop) == (0.75, 0.75, 25)
    assert quality(Fixed("single_label", 2), part, "loss", exact, other).drop > 0


def test_multi_label_agrees_by_all_labels_together() -> None:
    """A text of which one label is lost is another answer."""
    exact = np.array([[1, -1, 1], [1, 1, -1]], np.float32)
    other = np.array([[1, -1, -1], [1, 1, -1]], np.float32)
    part = part_of([[1, 0, 1], [1, 1, 0]])
    found = quality(Fixed("multi_label", 3), part, "micro_f1", exact, other)
    assert found.agreement == 0.5
    assert found.drop == pytest.approx(100 * (1 - 2 * 3 / 7))


def test_numbers_agree_when_they_are_near() -> None:
    """Within a twentieth of the standard deviation of the labels; the error is compared in percent of itself."""
    part = part_of(np.array([0.0, 2.0], np.float32))
    exact = np.array([[0.5], [1.5]], np.float32)
    other = np.array([[0.54], [1.4]], np.float32)
    found = quality(Fixed("regression", 1), part, "mae", exact, other)
    assert found.agreement == 0.5
    assert found.drop == pytest.approx(100 * (0.57 - 0.5) / 0.5, rel=1e-4)


def test_every_engine_has_its_turns(trained: Path, reviews: Path) -> None:
    """All are timed on the same texts, in turn, and what is done is told."""
    classifier = Classifier.from_pretrained(trained / "best_model", "cpu")
    config = how_to_read(classifier, {"dataset": str(reviews / "test.csv")})
    part = labelled_split(read_source(config), None, config, classifier.labels)
    turns: list[tuple[str, int]] = []

    class Counted:
        def __init__(self, name: str) -> None:
            self.name = name

        def logits(self, texts: ListedTexts) -> object:
            turns.append((self.name, len(texts)))
            return classifier.logits(texts)

        def predict(self, texts: list[str], pairs: list[str] | None) -> list[Prediction]:
            return classifier.predict(texts, pairs)

    told: list[tuple[int, int]] = []
    found = speeds({"a": Counted("a"), "b": Counted("b")}, part, lambda *done: told.append(done))
    assert told == [(done, 2 * ROUNDS) for done in range(1, 2 * ROUNDS + 1)]
    timed = [turn for turn in turns if turn[1] > 32]
    assert timed == [("a", 80), ("b", 80)] * ROUNDS
    assert all(speed.texts_per_second > 0 and speed.ms_one_text > 0 for speed in found.values())
