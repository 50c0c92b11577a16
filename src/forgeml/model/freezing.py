"""Lower blocks that stay as they were pre-trained."""

from __future__ import annotations

from types import MethodType

from torch.nn import Module
from transformers.modeling_utils import PreTrainedModel

from forgeml.errors import ConfigError, counted
from forgeml.model.blocks import find_blocks


def apply(model: PreTrainedModel, layers: int) -> None:
    """Take the embeddings and the lowest blocks out of the training: no gradients, and no dropout either.

    So they give the same hidden states of a text in every epoch. Lee et al. 2019, "What Would Elsa Do? Freezing Layers
    During Transformer Fine-Tuning".

    Args:
        model: whose blocks are frozen, in place.
        layers: number of blocks, from the lowest.

    Raises:
        ConfigError: the model has fewer blocks.
        ModelError: its blocks are not found.
    """
    found = find_blocks(model)
    if layers > len(found.blocks):
        what = f"{layers} blocks are to be frozen, and this model has {counted(len(found.blocks), 'block')}"
        raise ConfigError.at("training.freeze_layers", what, f"set it to {len(found.blocks)} or less")
    for part in (*found.embeddings, *found.blocks[:layers]):
        part.requires_grad_(False).eval()
        # The model's own `train()` reaches its parts through this.
        part.train = MethodType(_as_it_is, part)


def _as_it_is(part: Module, mode: bool = True) -> Module:
    return part
