"""Untrained classifiers of three small blocks, one of each family of encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    ModernBertConfig,
    MPNetConfig,
    PretrainedConfig,
    PreTrainedModel,
    RobertaConfig,
)

BLOCKS = 3
SIZES: Mapping[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
RELATIVE: Mapping[str, Any] = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}

CONFIGS: Mapping[str, Callable[[], PretrainedConfig]] = {
    "bert": lambda: BertConfig(**SIZES),
    "distilbert": lambda: DistilBertConfig(vocab_size=60, dim=16, hidden_dim=32, n_layers=BLOCKS, n_heads=2),
    "roberta": lambda: RobertaConfig(**SIZES),
    "albert": lambda: AlbertConfig(**SIZES, embedding_size=8, classifier_dropout_prob=0.1),
    "electra": lambda: ElectraConfig(**SIZES, embedding_size=8),
    "deberta": lambda: DebertaConfig(**SIZES, **RELATIVE),
    # As the third version has it, but for the convolution, which the large model of the second has.
    "deberta-v2": lambda: DebertaV2Config(
        **SIZES,
        **RELATIVE,
        norm_rel_ebd="layer_norm",
        position_buckets=8,
        share_att_key=True,
        conv_kernel_size=3,
    ),
    "modernbert": lambda: ModernBertConfig(
        **SIZES, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2, attn_implementation="sdpa"
    ),
    "mpnet": lambda: MPNetConfig(**SIZES),
    "gpt2": lambda: GPT2Config(
        vocab_size=60,
        n_embd=16,
        n_layer=BLOCKS,
        n_head=2,
        n_positions=40,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    ),
}

# Of ALBERT's layers all have the same weights, so there is one block.
COUNTS: Mapping[str, int] = {name: 1 if name == "albert" else BLOCKS for name in CONFIGS}


def small_classifier(name: str, seed: int = 0) -> PreTrainedModel:
    """An untrained classifier of two classes; the global random state stays as it is."""
    return classifier_of(CONFIGS[name](), seed)


def classifier_of(config: PretrainedConfig, seed: int = 0) -> PreTrainedModel:
    """The same of any configuration."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    return model


def some_ids() -> dict[str, torch.Tensor]:
    """Two texts of token ids, one of them padded."""
    ids = torch.tensor([[5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 0, 0]])
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}
