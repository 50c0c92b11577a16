"""Where the blocks of an encoder are, found by its structure and not by the names that each architecture has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import Module, ModuleList
from transformers.modeling_utils import PreTrainedModel

from forgeml.errors import ModelError
from forgeml.model.folder import other_model


@dataclass(frozen=True)
class Blocks:
    """The encoder of a classifier from below. What is in neither part stands above the blocks, with the head."""

    embeddings: ModuleList
    """What comes before the blocks or is shared by them: embeddings of tokens and of positions, also relative ones,
    and the map from their width to that of the blocks."""
    blocks: ModuleList
    """From the lowest to the highest. Blocks that share their weights, as ALBERT's do, are one."""


def find_blocks(model: PreTrainedModel) -> Blocks:
    """The blocks are the list of modules that holds most parameters; what is called for before them, the embeddings.

    Raises:
        ModelError: the layers are spread over several lists, or there is none.
    """
    base = model.base_model
    lists = [part for part in base.modules() if isinstance(part, ModuleList)]
    blocks = max(lists, key=_size, default=ModuleList())
    beside = [part for parent in base.modules() if blocks in parent.children() for part in parent.children()]
    if len(blocks) == 0 or sum(isinstance(part, ModuleList) for part in beside) > 1:
        what = f"the layers of {type(base).__name__} are not one list, so there are no blocks to count from below"
        settings = "training.layer_decay, training.freeze_layers and training.lora_rank"
        raise ModelError.at("model.name", what, f"leave out {settings}, or {other_model()}")
    return Blocks(ModuleList(_embeddings(base, blocks)), blocks)


def _size(part: Module) -> int:
    return sum(weight.numel() for weight in part.parameters())


def _embeddings(base: Module, blocks: ModuleList) -> Iterator[Module]:
    """All that stands before the blocks, or with them in a part of the base model; behind them embeddings alone."""
    passed = False
    for child in base.children():
        holds = blocks in child.modules()
        if holds:
            yield from _beside(child, blocks)
        elif not passed or isinstance(child, torch.nn.Embedding):
            yield child
        passed = passed or holds


def _beside(part: Module, blocks: ModuleList) -> Iterator[Module]:
    for child in part.children() if part is not blocks else ():
        if blocks in child.modules():
            yield from _beside(child, blocks)
        else:
            yield child
