"""Arrays in, numbers out."""

from __future__ import annotations

from math import isfinite

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

LOWER_IS_BETTER = frozenset({"loss"})


def classification_metrics(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    """Metrics of single-label classification.

    Args:
        logits: shape (examples, classes).
        labels: class ids, shape (examples,).

    Returns:
        `loss` (mean cross-entropy in nats), `accuracy`, and precision, recall and F1 averaged over the classes that
        occur ("macro"), each from 0 to 1.
    """
    predicted = logits.argmax(axis=1)
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    return {
        "accuracy": float(np.mean(predicted == labels)),
        "macro_f1": float(f1),
        "macro_precision": float(precision),
        "macro_recall": float(recall),
        "loss": cross_entropy(logits, labels),
    }


def cross_entropy(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Mean negative log-likelihood of the labels in nats; logits of shape (examples, classes)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_norm = np.log(np.exp(shifted).sum(axis=1))
    return float(np.mean(log_norm - shifted[np.arange(len(labels)), labels]))


def is_better(metric: str, candidate: float, best: float) -> bool:
    """Whether `candidate` beats `best`; a tie keeps the earlier one, and any number beats one that is not finite."""
    if not isfinite(candidate) or not isfinite(best):
        return isfinite(candidate)
    return candidate < best if metric in LOWER_IS_BETTER else candidate > best
