"""How much memory a run on the processor will take, worked out before its first step.

Where a GPU has no more memory, an error says so. A processor's memory is the machine's: the system ends the process
that takes too much, without a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from forgeml.config.schema import TrainingConfig
from forgeml.data.batches import Collate
from forgeml.errors import MachineError
from forgeml.events import Note
from forgeml.model.forward import batch_logits
from forgeml.model.weights import stored_weights
from forgeml.records import EncodedTexts, Pretrained
from forgeml.resources import SystemMemory, held_memory, system_memory
from forgeml.training import story
from forgeml.training.loop import is_divided

if TYPE_CHECKING:
    from forgeml.training.loop import Learner, TrainingSet
    from forgeml.training.materials import Materials, Tell

MOMENTS = 2
"""Numbers that AdamW keeps for each weight that is trained."""
BYTES_OF_A_NUMBER = 4
TOKENS_TRIED = 64
"""In the smallest batch that is tried; packed batches are a multiple of it."""
BACKWARD = 1.5
"""What a step takes, times what its forward pass keeps: measured on six models, 1.2 to 2 where that is a lot."""
AT_FIRST = 100_000_000
"""Bytes that libraries take for their first steps and the first evaluation."""
NEAR = 1.2
"""How far the process may come to hold more than the estimate; measured, a fifth."""


@dataclass(frozen=True)
class Need:
    """Memory that training takes, in bytes."""

    held: int
    """Held before the first step: libraries, weights, data."""
    gradients: int
    moments: int
    """Of the optimizer."""
    batch: int
    """For the largest batch."""
    text: int
    """For the longest text alone, which is the smallest batch that there can be."""
    available: int
    """What could be had beside what is held."""

    @property
    def more(self) -> int:
        """What is still to come."""
        return self.gradients + self.moments + self.batch + AT_FIRST

    @property
    def least(self) -> int:
        """What is still to come with one text in a batch, without what is uncertain."""
        return self.gradients + self.moments + self.text

    @property
    def is_near(self) -> bool:
        """Whether what is there may not suffice."""
        return (self.held + self.more) * NEAR > self.held + self.available

    def facts(self) -> dict[str, int | bool]:
        """What the process will hold at most, of what it could have, and for what; as JSON takes it."""
        return {
            "needed": self.held + self.more,
            "available": self.held + self.available,
            "near": self.is_near,
            "held": self.held,
            "gradients": self.gradients,
            "moments": self.moments,
            "batch": self.batch,
        }


def check_memory(
    config: TrainingConfig, materials: Materials, learner: Learner, training_set: TrainingSet, tell: Tell
) -> Need | None:
    """See that the machine's memory suffices for the run; a warning where it may not.

    Args:
        config: the `training` section.
        materials: what the run works on.
        learner: what takes the steps.
        training_set: what it learns from.
        tell: is given the warning.

    Returns:
        What is needed; None on other devices, where the system does not say what there is, and where each process has
        only a part of the model.

    Raises:
        MachineError: it does not suffice even with a single text in a batch.
    """
    there = system_memory()
    if materials.runtime.device != "cpu" or there is None or is_divided(learner):
        return None
    need = _need(config, materials, learner, training_set.encoded, there.available)
    words = story.memory(config, materials.cut.max_length)
    if need.least > there.available + there.swap:
        what = f"{words[0]} needs {_listed(need)}, and {_there(there)}; a single text in a batch would be too much"
        raise MachineError.at("memory", what, _fix())
    if need.is_near:
        what = f"{words[0]} may need {_listed(need)}, and {_there(there)}; without enough the system ends the run"
        tell(Note("memory", f"{what}; {words[1]}", warning=True))
    return need


def check_weights(config: TrainingConfig, pretrained: Pretrained, device: str) -> None:
    """See that a model's weights, with all that training adds to each, fit into memory, before they are read.

    Raises:
        MachineError: they do not.
        ModelError: a file of the weights is damaged.
    """
    there = system_memory()
    if device != "cpu" or there is None:
        return
    size = stored_weights(Path(pretrained.folder)).elements * BYTES_OF_A_NUMBER
    partly = config.freeze_layers is not None or config.lora_rank is not None
    needed = size if partly else size * (2 + MOMENTS)
    if needed > there.available + there.swap:
        added = "" if partly else ", with their gradients and the optimizer's moments,"
        what = f"the weights of {pretrained.name}{added} take {story.megabytes(needed)}, and {_there(there)}"
        raise MachineError.at("memory", what, _fix())


def _need(
    config: TrainingConfig, materials: Materials, learner: Learner, encoded: EncodedTexts, available: int
) -> Need:
    trained = sum(weight.numel() for weight in learner.model.parameters() if weight.requires_grad)
    lengths = np.sort(np.diff(encoded.offsets))[::-1]
    # The share of this process, where several work together; pieces of a text stay together, texts are cut apart.
    texts = -(-config.batch_size // learner.accelerator.num_processes)
    most = max(texts, 1 if encoded.bounds is None else int(np.diff(encoded.bounds).max(initial=1)))
    kept = _kept_by_size(learner, encoded, materials.collate, materials.cut.max_length)
    return Need(
        held=held_memory(),
        gradients=trained * BYTES_OF_A_NUMBER,
        moments=trained * BYTES_OF_A_NUMBER * MOMENTS,
        batch=round(BACKWARD * _kept(kept, lengths[:most])),
        text=_kept(kept, lengths[:1]),
        available=available,
    )


def _kept_by_size(learner: Learner, encoded: EncodedTexts, collate: Collate, max_length: int) -> NDArray[np.float64]:
    """Bytes that a forward pass keeps for the backward pass: at all, a token, and a pair of tokens of one text.

    Attention may keep something for each pair, all else for each token, so three small batches tell.
    """
    length = min(TOKENS_TRIED, max_length)
    texts = -(-TOKENS_TRIED // length)
    tried = [(texts, length), (2 * texts, length // 2), (2 * texts, length)]
    found = [_try(learner, collate, _sample(encoded, count, long)) for count, long in tried]
    sizes = np.array([[1, tokens, count * long**2] for (count, long), (tokens, _) in zip(tried, found, strict=True)])
    units = sizes.max(axis=0)
    kept = np.array([bytes_kept for _, bytes_kept in found])
    solved: NDArray[np.float64] = np.maximum(np.linalg.lstsq(sizes / units, kept, rcond=None)[0], 0) / units
    return solved


def _kept(by_size: NDArray[np.float64], lengths: NDArray[np.int64]) -> int:
    """Bytes for a batch of texts of these lengths."""
    return int(by_size @ np.array([1, lengths.sum(), (lengths**2).sum()]))


def _sample(encoded: EncodedTexts, texts: int, length: int) -> EncodedTexts:
    """So many texts of one length, of tokens that there are."""
    ids = np.resize(encoded.ids, texts * length)
    types = None if encoded.types is None else np.zeros(len(ids), encoded.types.dtype)
    return EncodedTexts(ids, np.arange(texts + 1) * length, encoded.pad_id, np.zeros(texts, bool), types)


def _try(learner: Learner, collate: Collate, sample: EncodedTexts) -> tuple[int, int]:
    """Tokens of a batch of these texts, filling counted, and bytes that a forward pass keeps beside the weights.

    The run draws the same random numbers afterwards as without.
    """
    batch = collate(sample, np.arange(len(sample)))
    weights = {weight.untyped_storage().data_ptr() for weight in learner.model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.random.fork_rng(devices=[]), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        # What is kept lives as long as the logits do, so that no two tensors have had the same place.
        logits = batch_logits(learner.model, batch, learner.accelerator.device)
    assert logits.requires_grad
    return batch.input_ids.size, sum(kept.values())


def _listed(need: Need) -> str:
    parts = {"gradients": need.gradients, "moments of the optimizer": need.moments, "the largest batch": need.batch}
    told = ", ".join(f"{story.megabytes(size)} for {name}" for name, size in parts.items())
    return f"{story.megabytes(need.more)} more memory ({told})"


def _there(there: SystemMemory) -> str:
    where = "this container may take" if there.limited else "this machine has"
    return f"{story.megabytes(there.available)} of the {story.megabytes(there.total)} that {where} are free"


def _fix() -> str:
    return (
        "end other programs, choose a smaller model, lower model.max_length, or train less of it, with "
        "training.lora_rank or training.freeze_layers"
    )
