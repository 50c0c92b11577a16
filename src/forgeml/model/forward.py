"""From batches to logits: the one way that training, evaluation and prediction share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from forgeml.batch import AnyBatch, Batch, PackedBatch
from forgeml.model.logits import collect
from forgeml.model.packed.attention import Passage
from forgeml.model.packed.layout import Layout


def batch_logits(model: torch.nn.Module, batch: AnyBatch, device: str | torch.device) -> torch.Tensor:
    """Logits of one batch, shape (texts, classes), in fp32 on the device; the mean over the pieces of a text.

    A packed batch is for models that `forgeml.model.packed.recognizing.pack` has found fit for it.
    """
    inputs = packed_inputs(batch, device) if isinstance(batch, PackedBatch) else _padded_inputs(batch, device)
    logits: torch.Tensor = model(**inputs).logits.float()
    if batch.owners is None:
        return logits
    texts, owners = len(batch.indexes), torch.from_numpy(batch.owners)
    # Worked out before the way to the device, which would have to be waited for.
    shares = 1 / torch.bincount(owners, minlength=texts)[owners, None]
    means = torch.zeros(texts, logits.shape[1], device=logits.device)
    return means.index_add(0, owners.to(logits.device), logits * shares.to(logits.device))


def packed_inputs(batch: PackedBatch, device: str | torch.device) -> dict[str, Any]:
    """What a model is called with for a packed batch: tensors of shape (1, tokens), and where the texts lie in them."""
    tensors = _tensors(batch, {"input_ids": batch.input_ids, "position_ids": batch.position_ids}, device)
    rows = {name: tensor[None] for name, tensor in tensors.items()}
    return {**rows, "packing": Passage(Layout.of(batch.lengths, device), batch.lower)}


def _padded_inputs(batch: Batch, device: str | torch.device) -> dict[str, torch.Tensor]:
    return _tensors(batch, {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}, device)


def _tensors(
    batch: AnyBatch, arrays: Mapping[str, NDArray[np.int64]], device: str | torch.device
) -> dict[str, torch.Tensor]:
    """The arrays on the device, and the batch's token types if it has any."""
    types = {} if batch.token_type_ids is None else {"token_type_ids": batch.token_type_ids}
    return {name: torch.from_numpy(values).to(device) for name, values in {**arrays, **types}.items()}


def predict_logits(
    model: torch.nn.Module,
    batches: Iterable[AnyBatch],
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
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            return collect(lambda batch: batch_logits(model, batch, device).cpu().numpy(), batches, on_progress)
    finally:
        # Left alone where nothing changed: other threads may be predicting with the same model.
        if was_training:
            model.train()
