"""From batches to logits: the one way that training, evaluation and prediction share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from forgeml.records import Batch


def batch_logits(model: torch.nn.Module, batch: Batch, device: str | torch.device) -> torch.Tensor:
    """Logits of one batch, shape (texts, classes), in fp32 on the device; the mean over the pieces of a text."""
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if batch.token_type_ids is not None:
        inputs["token_type_ids"] = batch.token_type_ids
    logits: torch.Tensor = model(**{name: values.to(device) for name, values in inputs.items()}).logits.float()
    if batch.owners is None:
        return logits
    texts = len(batch.indexes)
    # Worked out before the way to the device, which would have to be waited for.
    shares = 1 / torch.bincount(batch.owners, minlength=texts)[batch.owners, None]
    means = torch.zeros(texts, logits.shape[1], device=logits.device)
    return means.index_add(0, batch.owners.to(logits.device), logits * shares.to(logits.device))


def predict_logits(
    model: torch.nn.Module,
    batches: Iterable[Batch],
    device: str | torch.device,
    on_progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """Logits of all texts in their own order, whatever the order of the batches; shape (texts, classes).

    The model is left in the mode, training or evaluation, in which it came.

    Args:
        model: a classifier on `device`.
        batches: each text once; their `indexes` are the numbers from 0 to texts - 1. None at all gives shape (0, 0).
        device: where to compute.
        on_progress: told the number of texts done so far.
    """
    rows: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    logits: list[NDArray[np.float32]] = []
    done = 0
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for batch in batches:
                logits.append(batch_logits(model, batch, device).cpu().numpy())
                rows.append(batch.indexes)
                done += len(batch.indexes)
                on_progress(done)
    finally:
        # Left alone where nothing changed: other threads may be predicting with the same model.
        if was_training:
            model.train()
    together = np.concatenate(logits) if logits else np.zeros((0, 0), np.float32)
    ordered = np.empty_like(together)
    ordered[np.concatenate(rows)] = together
    return ordered


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
