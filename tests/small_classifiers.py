"""Classifiers of many architectures with few and random weights, and batches for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

SIZES = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
DISENTANGLED = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0}
SETTINGS: Mapping[str, dict[str, Any]] = {
    "bert": SIZES,
    "roberta": {**SIZES, "pad_token_id": 1},
    "xlm-roberta": {**SIZES, "pad_token_id": 1},
    "albert": {**SIZES, "embedding_size": 16},
    "electra": {**SIZES, "embedding_size": 16},
    "mpnet": {**SIZES, "pad_token_id": 1},
    "distilbert": {
        "vocab_size": 100,
        "dim": 32,
        "hidden_dim": 64,
        "n_layers": 2,
        "n_heads": 2,
        "max_position_embeddings": 64,
    },
    "deberta": {**SIZES, **DISENTANGLED, "pooler_hidden_size": 32},
    "deberta-v2": {
        **SIZES,
        **DISENTANGLED,
        "position_buckets": 16,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "position_biased_input": False,
        "pooler_hidden_size": 32,
    },
    "modernbert": {**SIZES, "pad_token_id": 0, "local_attention": 16, "global_attn_every_n_layers": 2},
    "llama": {**SIZES, "pad_token_id": 0, "num_key_value_heads": 1},
}
"""What makes each architecture small."""

WITH_TOKEN_TYPES = ("bert", "albert", "electra")

Inputs = dict[str, NDArray[np.int64]]


def small_classifier(architecture: str, labels: int = 3) -> PreTrainedModel:
    """A classifier whose logits tell texts apart."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = AutoConfig.for_model(architecture, num_labels=labels, **SETTINGS[architecture])
        model = AutoModelForSequenceClassification.from_config(config)
        # With weights as they are drawn all texts are much alike.
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                torch.nn.init.normal_(module.weight, std=0.2)
    return model


def input_names(architecture: str) -> tuple[str, ...]:
    """What the architecture takes."""
    types = ("token_type_ids",) if architecture in WITH_TOKEN_TYPES else ()
    return ("input_ids", "attention_mask", *types)


def padded_batch(model: PreTrainedModel, inputs: Sequence[str], shape: tuple[int, int], seed: int = 0) -> Inputs:
    """Random tokens, every row but the first with padding where the length allows it."""
    chance = np.random.default_rng([seed, *shape])
    tokens = chance.integers(5, 99, shape)
    mask = np.ones(shape, np.int64)
    types = chance.integers(0, 2, shape)
    for row in range(1, shape[0]):
        end = max(1, shape[1] - row)
        tokens[row, end:], mask[row, end:], types[row, end:] = model.config.pad_token_id or 0, 0, 0
    values = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": types}
    return {name: values[name] for name in inputs}


def torch_logits(model: PreTrainedModel, batch: Inputs) -> NDArray[np.float32]:
    """What the model itself answers, shape (texts, outputs)."""
    modes = model.training
    model.eval()
    with torch.inference_mode():
        logits = model(**{name: torch.from_numpy(values) for name, values in batch.items()}).logits.numpy()
    model.train(modes)
    return logits
