"""What a model says of texts that are encoded already, by all processes of a run together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from forgeml.batch import AnyBatch
from forgeml.data.batches import SCORING_BATCH, Collate, Indexes, collate, plan_scoring
from forgeml.model.forward import predict_logits
from forgeml.records import EncodedTexts
from forgeml.training.processes import ALONE, Processes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel


def score_logits(
    model: PreTrainedModel,
    encoded: EncodedTexts,
    device: str,
    on_progress: Callable[[int], None],
    collate: Collate = collate,
    processes: Processes = ALONE,
) -> NDArray[np.float32]:
    """What a model says of texts that are encoded already; shape (texts, outputs).

    Args:
        model: a classifier on the device.
        encoded: the texts.
        device: where to compute.
        on_progress: told the number of texts done so far.
        collate: makes the batches that the model takes.
        processes: of which each reads some of the texts; all get the logits of all.
    """
    plan, own = processes.part(plan_scoring(encoded, SCORING_BATCH))
    texts = np.concatenate(plan[:own] or [np.zeros(0, np.int64)])

    def tell_of_all(done: int) -> None:
        on_progress(min(done * processes.count, len(encoded)))

    logits = predict_logits(model, _numbered(encoded, plan, collate), device, tell_of_all)
    together = np.zeros((len(encoded), logits.shape[1]), np.float32)
    together[texts] = logits[: len(texts)]
    return processes.total(together)


def _numbered(encoded: EncodedTexts, plan: Sequence[Indexes], collate: Collate) -> Iterator[AnyBatch]:
    """Batches whose texts are counted through, whichever they are."""
    numbers, done = np.zeros(len(encoded), np.int64), 0
    for indexes in plan:
        numbers[indexes] = np.arange(done, done + len(indexes))
        batch, done = collate(encoded, indexes), done + len(indexes)
        yield replace(batch, indexes=numbers[batch.indexes])
