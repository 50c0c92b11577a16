"""The loss of each task, as a sum over the examples of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from forgeml.records import Task

if TYPE_CHECKING:
    from forgeml.records import Labels

LossSum = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From logits of shape (texts, outputs) and labels to the sum of the texts' losses."""


def cross_entropy_sum(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None, smoothing: float
) -> torch.Tensor:
    """Single-label: negative log-likelihood in nats; `weights` of the classes, shape (classes,).

    Smoothed, a label is its class but for a share that all classes have alike, each with its own weight.
    """
    return functional.cross_entropy(logits, labels, weight=weights, reduction="sum", label_smoothing=smoothing)


def binary_cross_entropy_sum(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None, smoothing: float
) -> torch.Tensor:
    """Multi-label: negative log-likelihood in nats of each class being there or not, averaged over the classes.

    `weights` are those of absence and presence of each class, shape (2, classes). Smoothed, presence is not 1 but half
    the share less, and absence not 0 but half the share more.
    """
    truth = labels.to(logits.dtype) * (1 - smoothing) + smoothing / 2
    each = None if weights is None else torch.where(labels.bool(), weights[1], weights[0])
    loss = functional.binary_cross_entropy_with_logits(logits, truth, weight=each, reduction="sum")
    return loss / logits.shape[1]


def squared_error_sum(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None, smoothing: float
) -> torch.Tensor:
    """Regression: squared distance; numbers have neither weights nor smoothing."""
    return functional.mse_loss(logits.squeeze(1), labels, reduction="sum")


LOSSES: Mapping[Task, Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None, float], torch.Tensor]] = {
    "single_label": cross_entropy_sum,
    "multi_label": binary_cross_entropy_sum,
    "regression": squared_error_sum,
}


def loss_of(task: Task, weights: NDArray[np.float32] | None, device: str, smoothing: float = 0.0) -> LossSum:
    """The task's loss, with these class weights if there are any, and labels smoothed by this share.

    Smoothing is that of Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", section 7.
    """
    loss_sum, on_device = LOSSES[task], None if weights is None else torch.from_numpy(weights).to(device)
    return lambda logits, labels: loss_sum(logits, labels, on_device, smoothing)


def balanced_weights(task: Task, labels: Labels, classes: int) -> NDArray[np.float32] | None:
    """Weights under which rare classes count as much as frequent ones: examples / (classes * examples of the class).

    Multi-label: the same for each class by itself, whose two classes are presence and absence. Over all examples the
    weights are 1 on average. A class without examples weighs nothing. Regression has none.

    The heuristic is that of King and Zeng 2001, "Logistic Regression in Rare Events Data".
    """
    if task == "regression":
        return None
    present = labels.sum(axis=0, dtype=np.int64) if task == "multi_label" else np.bincount(labels, minlength=classes)
    counts = np.stack([len(labels) - present, present]) if task == "multi_label" else present
    occur = np.count_nonzero(counts, axis=0)
    return np.where(counts > 0, len(labels) / (np.maximum(occur, 1) * np.maximum(counts, 1)), 0).astype(np.float32)
