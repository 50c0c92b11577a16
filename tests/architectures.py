"""One BERT encoder written as the other encoder classes.

No small published weights of these classes can be had without the hub. BERT's encoder is a special case of each of
them, so its weights can be rewritten with the same outputs. The folders made here are constructions of this project's
own, for its tests: they are not published models and say nothing about how well such models do.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    AlbertConfig,
    AlbertModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    RobertaConfig,
    RobertaModel,
)

Architecture = Literal["bert", "distilbert", "roberta", "albert", "electra"]
Weights = dict[str, torch.Tensor]

ARCHITECTURES: tuple[Architecture, ...] = ("bert", "distilbert", "roberta", "albert", "electra")

_WITHOUT_TOKEN_TYPES = ("distilbert", "roberta")
_DISTILBERT_NAMES = {
    "encoder.layer.": "transformer.layer.",
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}
_ALBERT_NAMES = {
    "attention.self.": "attention.",
    "attention.output.": "attention.",
    "intermediate.dense": "ffn",
    "output.dense": "ffn_output",
    "output.LayerNorm": "full_layer_layer_norm",
    "pooler.dense": "pooler",
}


def write_as(architecture: Architecture, source_folder: Path, target_folder: Path) -> Path:
    """Write the BERT encoder and the tokenizer of a folder as another class, with the same outputs for single texts.

    The results are constructions of this project's own and not published models.
    """
    if architecture == "bert":
        return Path(shutil.copytree(source_folder, target_folder, dirs_exist_ok=True))
    source, loading = BertModel.from_pretrained(source_folder, dtype=torch.float32, output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(source_folder)
    # What the folder does not have, a pooler for instance, was drawn at random and is not to be passed on.
    weights = {name: value for name, value in _weights(source).items() if name not in loading["missing_keys"]}
    model = _WRITERS[architecture](source.config, weights, tokenizer)
    model.save_pretrained(target_folder)
    if architecture in _WITHOUT_TOKEN_TYPES:
        # As with the published models of these classes, whose inputs have no token types.
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
        tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names
    # The class stays BERT's in tokenizer_config.json, so that the WordPiece vocabulary is read as it is.
    tokenizer.save_pretrained(target_folder)
    return target_folder


def _as_distilbert(config: BertConfig, weights: Weights, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """DistilBERT has no token types: the embedding of type 0 goes into the positions."""
    target = DistilBertConfig(
        vocab_size=config.vocab_size,
        dim=config.hidden_size,
        hidden_dim=config.intermediate_size,
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        max_position_embeddings=config.max_position_embeddings,
        activation=config.hidden_act,
        dropout=config.hidden_dropout_prob,
        attention_dropout=config.attention_probs_dropout_prob,
        initializer_range=config.initializer_range,
        pad_token_id=config.pad_token_id,
    )
    token_types = weights.pop("embeddings.token_type_embeddings.weight")
    weights["embeddings.position_embeddings.weight"] += token_types[0]
    return _filled(DistilBertModel(target), _renamed(_without_pooler(weights), _DISTILBERT_NAMES))


def _as_roberta(config: BertConfig, weights: Weights, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """RoBERTa counts positions from one behind the pad id, so that rows that are never used stand in front."""
    unused = config.pad_token_id + 1
    target = RobertaConfig(
        **_common(config),
        **_ends(tokenizer),
        layer_norm_eps=config.layer_norm_eps,
        type_vocab_size=1,
    )
    target.max_position_embeddings = config.max_position_embeddings + unused
    positions = weights["embeddings.position_embeddings.weight"]
    weights["embeddings.position_embeddings.weight"] = torch.cat(
        [torch.zeros(unused, config.hidden_size, dtype=positions.dtype), positions]
    )
    weights["embeddings.token_type_embeddings.weight"] = weights["embeddings.token_type_embeddings.weight"][:1]
    return _filled(RobertaModel(target, add_pooling_layer="pooler.dense.weight" in weights), weights)


def _as_albert(config: BertConfig, weights: Weights, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """ALBERT shares weights inside a group of layers, so every layer is a group; the embedding map is the identity."""
    target = AlbertConfig(
        **_common(config),
        **_ends(tokenizer),
        layer_norm_eps=config.layer_norm_eps,
        type_vocab_size=config.type_vocab_size,
        embedding_size=config.hidden_size,
        num_hidden_groups=config.num_hidden_layers,
        inner_group_num=1,
        classifier_dropout_prob=config.hidden_dropout_prob,
    )
    layers = {
        f"encoder.layer.{layer}.": f"encoder.albert_layer_groups.{layer}.albert_layers.0."
        for layer in range(config.num_hidden_layers)
    }
    weights = _renamed(weights, {**layers, **_ALBERT_NAMES})
    weights["encoder.embedding_hidden_mapping_in.weight"] = torch.eye(config.hidden_size)
    weights["encoder.embedding_hidden_mapping_in.bias"] = torch.zeros(config.hidden_size)
    return _filled(AlbertModel(target, add_pooling_layer="pooler.weight" in weights), weights)


def _as_electra(config: BertConfig, weights: Weights, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """ELECTRA's encoder is BERT's when the embeddings are as wide as the layers; it has no pooler."""
    target = ElectraConfig(
        **_common(config),
        layer_norm_eps=config.layer_norm_eps,
        type_vocab_size=config.type_vocab_size,
        embedding_size=config.hidden_size,
    )
    return _filled(ElectraModel(target), _without_pooler(weights))


_WRITERS: dict[str, Callable[[BertConfig, Weights, PreTrainedTokenizerBase], PreTrainedModel]] = {
    "distilbert": _as_distilbert,
    "roberta": _as_roberta,
    "albert": _as_albert,
    "electra": _as_electra,
}


def _common(config: BertConfig) -> dict[str, Any]:
    """Settings that have the same name everywhere but in DistilBERT."""
    names = (
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "hidden_act",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "max_position_embeddings",
        "initializer_range",
        "pad_token_id",
    )
    return {name: getattr(config, name) for name in names}


def _ends(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """First and last token, which by default have ids from the class's own vocabulary."""
    return {"bos_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}


def _weights(model: PreTrainedModel) -> Weights:
    """A copy of a model's weights that can be changed."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _without_pooler(weights: Weights) -> Weights:
    """For the classes that have none."""
    return {name: value for name, value in weights.items() if not name.startswith("pooler.")}


def _renamed(weights: Weights, changes: Mapping[str, str]) -> Weights:
    """Replace parts of the names of all weights, in the order given."""
    renamed = {}
    for name, value in weights.items():
        for old, new in changes.items():
            name = name.replace(old, new)
        renamed[name] = value
    return renamed


def _filled(model: PreTrainedModel, weights: Weights) -> PreTrainedModel:
    """The model with these weights; fails unless they are all it has."""
    model.load_state_dict(weights, strict=True)
    return model
