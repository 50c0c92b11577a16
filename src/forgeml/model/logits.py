"""What comes out of a model, whichever engine runs it: logits of all texts in their order, and probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from forgeml.batch import AnyBatch, Batch

Logits = NDArray[np.float32]
One = TypeVar("One", bound=AnyBatch)


def collect(
    forward: Callable[[One], Logits], batches: Iterable[One], on_progress: Callable[[int], None] = lambda done: None
) -> Logits:
    """Logits of all texts in their own order, whatever the order of the batches; shape (texts, outputs).

    Args:
        forward: gives the logits of a batch, shape (texts of the batch, outputs).
        batches: each text once; their `indexes` are the numbers from 0 to texts - 1. None at all gives shape (0, 0).
        on_progress: told the number of texts done so far.
    """
    rows: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    logits: list[Logits] = []
    done = 0
    for batch in batches:
        logits.append(forward(batch))
        rows.append(batch.indexes)
        done += len(batch.indexes)
        on_progress(done)
    together = np.concatenate(logits) if logits else np.zeros((0, 0), np.float32)
    ordered = np.empty_like(together)
    ordered[np.concatenate(rows)] = together
    return ordered


def mean_of_pieces(logits: Logits, batch: Batch) -> Logits:
    """Logits of the batch's texts, shape (texts, outputs), from those of its pieces: the mean over each text's."""
    if batch.owners is None:
        return logits
    counts = np.bincount(batch.owners, minlength=len(batch.indexes))
    means = np.zeros((len(batch.indexes), logits.shape[1]), np.float32)
    np.add.at(means, batch.owners, logits / counts[batch.owners, None].astype(np.float32))
    return means


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities, shape (texts, classes), from logits of that shape."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf))
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probability of each class on its own, from logits of any shape."""
    # Only ever the exponential of a negative number, which cannot overflow.
    exponentials = np.exp(-np.abs(logits.astype(np.float64)))
    probabilities: NDArray[np.float64] = np.where(logits >= 0, 1.0, exponentials) / (1 + exponentials)
    return probabilities
