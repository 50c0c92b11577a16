"""Numbers from arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from forgeml.metrics import classification_metrics, cross_entropy, is_better

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("classes", [2, 3, 20])
def test_metrics_agree_with_their_definitions(classes: int) -> None:
    """Each figure is the one that scikit-learn and torch compute by its name."""
    logits = RANDOM.normal(size=(200, classes)).astype(np.float32)
    labels = RANDOM.integers(classes, size=200)
    predicted, macro = logits.argmax(axis=1), {"average": "macro", "zero_division": 0}
    expected = {
        "accuracy": accuracy_score(labels, predicted),
        "macro_f1": f1_score(labels, predicted, **macro),
        "macro_precision": precision_score(labels, predicted, **macro),
        "macro_recall": recall_score(labels, predicted, **macro),
        "loss": float(torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))),
    }
    found = classification_metrics(logits, labels)
    assert found.keys() == expected.keys()
    assert all(type(value) is float for value in found.values())
    assert found == pytest.approx(expected, rel=1e-5)


def test_metrics_of_one_class_are_quiet() -> None:
    """A class that is never predicted or never right counts as zero, without a warning."""
    logits = np.array([[1, 0], [2, 0]], np.float32)
    assert classification_metrics(logits, np.array([1, 1])) == pytest.approx(
        {"accuracy": 0, "macro_f1": 0, "macro_precision": 0, "macro_recall": 0, "loss": 1.7200948}
    )
    assert classification_metrics(logits, np.array([0, 0]))["macro_f1"] == 1


def test_large_logits_stay_finite() -> None:
    """The loss does not overflow."""
    logits = np.array([[1e4, -1e4], [3e38, 0]], np.float32)
    assert cross_entropy(logits, np.array([0, 0])) == 0


@pytest.mark.parametrize(
    ("metric", "candidate", "best", "better"),
    [
        ("accuracy", 0.9, 0.8, True),
        ("accuracy", 0.8, 0.8, False),
        ("accuracy", 0.7, 0.8, False),
        ("loss", 0.7, 0.8, True),
        ("loss", 0.8, 0.8, False),
        ("loss", 0.9, 0.8, False),
        ("loss", math.nan, 0.8, False),
        ("loss", 0.8, math.nan, True),
        ("loss", math.inf, math.nan, False),
        ("loss", 0.8, math.inf, True),
    ],
)
def test_is_better(metric: str, candidate: float, best: float, better: bool) -> None:
    """Lower is better for the loss alone, a tie keeps the earlier one, and a number beats none."""
    assert is_better(metric, candidate, best) == better
