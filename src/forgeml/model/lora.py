"""LoRA: the encoder's matrices stay as they are, and what is learnt are products of two thin ones beside them."""

from __future__ import annotations

from functools import partial

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners import lora
from torch.nn import Linear, ModuleList
from transformers.modeling_utils import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from forgeml.errors import ConfigError
from forgeml.model.blocks import find_blocks
from forgeml.model.saved import Fold

ADAPTER = "default"
SCALING = 2
"""What the products are multiplied with: LoRA's alpha as a multiple of the rank."""
DROPOUT = 0.1
"""Of what goes into the products."""


def apply(model: PreTrainedModel, rank: int) -> Fold:
    """Put adapters beside all linear layers of the encoder, in place; these and the head above it are trained.

    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models".

    Args:
        model: in which layers that are frozen already get no adapter.
        rank: of the products, the thin side of their factors.

    Returns:
        What makes the weights those of the plain model again, with the products added in.

    Raises:
        ConfigError: no layer is left to be adapted.
        ModelError: the model's blocks are not found.
    """
    found = find_blocks(model)
    encoder = ModuleList([found.embeddings, found.blocks])
    inside, held = set(encoder.modules()), set(encoder.parameters())
    head = [weight for weight in model.parameters() if weight not in held]
    layers = {
        name: part
        for name, part in model.named_modules()
        if part in inside and isinstance(part, Linear | Conv1D) and part.weight.requires_grad
    }
    if not layers:
        what = "no linear layer of the encoder is left to be adapted"
        raise ConfigError.at("training.lora_rank", what, "leave it out, or lower training.freeze_layers")
    config = LoraConfig(
        r=rank,
        lora_alpha=SCALING * rank,
        lora_dropout=DROPOUT,
        target_modules=list(layers),
        fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in layers.values()),
    )
    inject_adapter_in_model(config, model, ADAPTER)
    for weight in head:
        weight.requires_grad_(True)
    return partial(merged, model)


@torch.no_grad()
def merged(model: PreTrainedModel, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of the plain model that answers as the adapted one does, which is left as it is.

    Args:
        model: with adapters.
        weights: all of its own, by name.
    """
    plain = {name.replace(".base_layer.", "."): weight for name, weight in weights.items() if ".lora_" not in name}
    for name, layer in model.named_modules():
        if isinstance(layer, lora.Linear):
            plain[f"{name}.weight"] = plain[f"{name}.weight"] + layer.get_delta_weight(ADAPTER)
    return plain
