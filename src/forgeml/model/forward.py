"""From batches to logits: the one way that training, evaluation and prediction share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from forgeml.records import Batch


def batch_logits(model: torch.nn.Module, batch: Batch, device: str | torch.device) -> torch.Tensor:
    """Logits of one batch, shape (texts, classes), in fp32 on the device."""
    output = model(input_ids=batch.input_ids.to(device), attention_mask=batch.attention_mask.to(device))
    logits: torch.Tensor = output.logits.float()
    return logits


def predict_logits(
    model: torch.nn.Module,
    batches: Iterable[Batch],
    device: str | torch.device,
    on_progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """Logits of all texts in their own order, whatever the order of the batches; shape (texts, classes).

    The model is left in the mode, training or evaluation, in which it came.
    """
    was_training = model.training
    model.eval()
    rows: list[NDArray[np.int64]] = []
    logits: list[NDArray[np.float32]] = []
    done = 0
    with torch.inference_mode():
        for batch in batches:
            logits.append(batch_logits(model, batch, device).cpu().numpy())
            rows.append(batch.indexes)
            done += len(batch.indexes)
            on_progress(done)
    model.train(was_training)
    ordered = np.empty_like(np.concatenate(logits))
    ordered[np.concatenate(rows)] = np.concatenate(logits)
    return ordered
