"""Weights in: a pre-trained model's files, its tokenizer, and a classifier built on it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PretrainedConfig
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from forgeml.errors import ConfigError, ModelError
from forgeml.huggingface import fetch_model_files, model_repository
from forgeml.records import Pretrained

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
FILES_TO_FETCH = (
    "config.json",
    *("model*.safetensors", "model.safetensors.index.json"),
    *TOKENIZER_FILES,
    *("merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
)
DEFAULT_MAX_LENGTH = 256

# Their first position is the one after the padding id, so that many positions are never used.
COUNT_POSITIONS_FROM_PAD = frozenset(
    {"roberta", "xlm-roberta", "camembert", "roberta-prelayernorm", "longformer", "mpnet"}
)

transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def fetch_pretrained(name: str, revision: str | None) -> Pretrained:
    """Find a model in a local folder, in the cache or on the hub.

    Raises:
        ModelError: the folder is not there or lacks a file.
        HubError: the hub did not deliver.
    """
    if is_local(name):
        folder, commit, fetched = Path(name).expanduser(), None, False
    else:
        folder, fetched = fetch_model_files(model_repository(name), revision, FILES_TO_FETCH)
        name, commit = model_repository(name), folder.name
    check_folder(folder, name)
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    return Pretrained(name, commit, str(folder), size, fetched)


def is_local(name: str) -> bool:
    """Whether the name is meant as a folder: it is there, or it is written like a path."""
    return name.startswith(("./", "../", "/", "~")) or name.endswith("/") or name.count("/") > 1 or Path(name).is_dir()


def check_folder(folder: Path, name: str) -> None:
    """See that a model's folder has what is needed, before any library guesses.

    Raises:
        ModelError: what is missing, and what is there.
    """
    if not folder.is_dir():
        raise ModelError.at("model.name", f"no folder {folder}", "check the path, or name a model on the hub")
    present = {file.name for file in folder.iterdir()}
    if "config.json" not in present:
        raise ModelError.at(
            "model.name", f"{name} has no config.json", "give a folder that save_pretrained has written"
        )
    if not present.intersection(WEIGHTS):
        pickled = " (weights as a pickle are not opened: they can run code)" if "pytorch_model.bin" in present else ""
        raise ModelError.at(
            "model.name", f"{name} has no model.safetensors{pickled}", "choose a model in safetensors form"
        )
    if not present.intersection(TOKENIZER_FILES):
        wanted = ", ".join(TOKENIZER_FILES)
        raise ModelError.at(
            "model.name", f"{name} has no tokenizer file", f"add the tokenizer's files, one of {wanted}"
        )


def open_tokenizer(pretrained: Pretrained) -> PreTrainedTokenizerBase:
    """The tokenizer that belongs to the model.

    Raises:
        ModelError: it cannot be opened, or it knows more tokens than the model.
    """
    config = open_config(pretrained)
    try:
        tokenizer = AutoTokenizer.from_pretrained(pretrained.folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError.at(
            "model.name", f"the tokenizer of {pretrained.name} does not open: {error}", _other()
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if len(tokenizer) > config.vocab_size:
        raise ModelError.at(
            "model.name",
            f"the tokenizer of {pretrained.name} has {len(tokenizer)} tokens, the model only {config.vocab_size}",
            "use the tokenizer that came with these weights",
        )
    return tokenizer


def open_config(pretrained: Pretrained) -> PretrainedConfig:
    """The model's own configuration, as transformers reads it.

    Raises:
        ModelError: not JSON, or an architecture that is not known.
    """
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            pretrained.folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError.at("model.name", f"config.json of {pretrained.name}: {reason}", _other()) from error
    return config


def longest_text(pretrained: Pretrained, tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> int:
    """Tokens that a text may have: `max_length` if given, else the default, within what the model can read.

    Raises:
        ConfigError: `max_length` is above the model's own limit.
    """
    limit = _position_limit(open_config(pretrained), tokenizer)
    if max_length is None:
        return min(DEFAULT_MAX_LENGTH, limit)
    if max_length > limit:
        raise ConfigError.at(
            "model.max_length",
            f"{max_length} tokens, but {pretrained.name} reads at most {limit}",
            f"set model.max_length to {limit} or less",
        )
    return max_length


def _position_limit(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    positions = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
    if config.model_type in COUNT_POSITIONS_FROM_PAD:
        positions -= config.pad_token_id + 1
    return int(min(positions, tokenizer.model_max_length))


def build_classifier(
    pretrained: Pretrained, class_names: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> PreTrainedModel:
    """The pre-trained encoder in fp32 with a classification head for these classes; torch's seed draws a new head.

    Raises:
        ModelError: not a text classifier, or weights that are not this model's.
    """
    settings: Mapping[str, Any] = {
        # The head of a model that was tuned for other classes gives way to a new one.
        "ignore_mismatched_sizes": True,
        "num_labels": len(class_names),
        "id2label": dict(enumerate(class_names)),
        "label2id": {name: index for index, name in enumerate(class_names)},
        "problem_type": "single_label_classification",
    }
    model, missing = load_classifier(pretrained, settings)
    backbone = [key for key in missing if key.startswith(model.base_model_prefix + ".") and ".pooler." not in key]
    if backbone:
        raise ModelError.at(
            "model.name",
            f"the weights of {pretrained.name} are not those of its config.json: {len(backbone)} are absent, "
            f"such as {sorted(backbone)[0]}",
            "use the weights and the config.json of one model",
        )
    # Decoders find a text's last token by this id.
    model.config.pad_token_id = tokenizer.pad_token_id
    return model


def load_classifier(
    pretrained: Pretrained, settings: Mapping[str, Any] = MappingProxyType({})
) -> tuple[PreTrainedModel, set[str]]:
    """A sequence classifier from a folder, safetensors only, no code from the folder, in fp32.

    Returns:
        The model and the names of weights that the folder does not have.

    Raises:
        ModelError: the folder cannot be opened as one.
    """
    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            pretrained.folder,
            dtype="float32",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **settings,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, json.JSONDecodeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError.at(
            "model.name", f"{pretrained.name} does not open as a classifier: {reason}", _other()
        ) from error
    return model, set(report["missing_keys"])


def _other() -> str:
    known = "distilbert-base-uncased, bert-base-uncased, roberta-base, albert-base-v2"
    return f"choose a text model that transformers {transformers.__version__} knows, such as {known}"
