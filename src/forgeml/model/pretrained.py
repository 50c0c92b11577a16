"""Weights in: a pre-trained model's files, its tokenizer, and a classifier built on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PretrainedConfig
from transformers.modeling_utils import PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from forgeml.errors import ConfigError, ModelError
from forgeml.hub.client import Fetched, fetch_model_files, show_downloads
from forgeml.hub.errors import or_folder
from forgeml.hub.names import model_repository, written_as_path
from forgeml.model.folder import TOKENIZER_SETS, LibraryErrors, check_folder, or_hub, other_model, refuse_own_code
from forgeml.model.heads import fit_head, in_base
from forgeml.model.manifest import CONFIG
from forgeml.model.weights import INDEX, stored_weights
from forgeml.records import Pretrained, Task

SMALL_FILES = (
    CONFIG,
    *(name for files in TOKENIZER_SETS for name in files),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
)
FILES_TO_FETCH = (*SMALL_FILES, "model*.safetensors", INDEX)
DEFAULT_MAX_LENGTH = 256

PROBLEM_TYPES: Mapping[Task, str] = {
    "single_label": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}
"""What transformers calls the tasks, in config.json."""

Tell = Callable[[str], None]
"""Listens to sentences on what was changed about a model so that it fits."""

UNLIMITED = 1_000_000
"""Tokens; what a tokenizer states above this stands for "no limit"."""

# Their first position is the one after the padding id, so that many positions are never used.
COUNT_POSITIONS_FROM_PAD = frozenset(
    {
        *("camembert", "data2vec-text", "esm", "ibert", "lilt", "longformer", "luke", "mpnet"),
        *("roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
    }
)

transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
# That was meant for the loading of weights, which takes a second; downloads take minutes.
show_downloads()


def fetch_pretrained(
    name: str, revision: str | None, check: Callable[[Pretrained], None] = lambda described: None
) -> Pretrained:
    """Find a model in a local folder, in the cache or on the hub.

    Args:
        name: of the folder or the repository.
        revision: branch, tag or commit on the hub.
        check: is given the model as soon as its configuration and tokenizer are there; what it raises saves the
            fetching of its weights.

    Raises:
        ModelError: the folder is not there, lacks a file, or has a damaged one.
        HubError: the hub did not deliver.
    """
    if is_local(name):
        found, commit = Fetched(Path(os.path.expanduser(name)), fetched=False), None
    else:
        with or_folder(name, lambda: (f"no {CONFIG}", f"to use that folder, put {CONFIG} into it")):
            found = fetch_model_files(
                model_repository(name),
                revision,
                FILES_TO_FETCH,
                SMALL_FILES,
                lambda folder: check(Pretrained(model_repository(name), folder.name, str(folder), 0, fetched=True)),
            )
        name, commit = model_repository(name), found.folder.name
    with or_hub(found.hub_away):
        check_folder(found.folder, name)
    size = sum(file.stat().st_size for file in found.folder.iterdir() if file.is_file())
    return Pretrained(name, commit, str(found.folder), size, found.fetched, "; ".join(found.notes), found.hub_away)


def is_local(name: str) -> bool:
    """Whether the name is meant as a folder: it is there, or it is written like a path."""
    if "://" in name:
        # An address; the hub says which part of it is the name.
        return False
    # A folder that only happens to have the name of a model on the hub, as an output folder may, is not meant.
    return written_as_path(name) or os.path.isfile(name) or os.path.exists(os.path.join(name, CONFIG))


def open_config(pretrained: Pretrained) -> PretrainedConfig:
    """The model's own configuration, as transformers reads it.

    Raises:
        ModelError: an architecture that is not known, or one that does not classify texts.
    """
    refuse_own_code(Path(pretrained.folder), pretrained.name)
    with LibraryErrors(f"{CONFIG} of {pretrained.name}"):
        config: PretrainedConfig = AutoConfig.from_pretrained(
            pretrained.folder, local_files_only=True, trust_remote_code=False
        )
    if config.model_type not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES or _vocabulary(config) is None:
        what = f"{pretrained.name} is a {config.model_type} model, which is not a text classifier"
        raise ModelError.at("model.name", what, other_model())
    if config.is_encoder_decoder:
        what = f"{pretrained.name} is an encoder-decoder ({config.model_type}), which ForgeML does not fine-tune"
        raise ModelError.at("model.name", what, other_model())
    return config


def open_tokenizer(pretrained: Pretrained, tell: Tell = lambda note: None) -> PreTrainedTokenizerBase:
    """The tokenizer that belongs to the model; one without a padding token pads with its end-of-text token.

    Args:
        pretrained: the model's folder.
        tell: is given a sentence when the padding token is new.

    Raises:
        ModelError: it cannot be opened, or its vocabulary is not the model's.
    """
    vocabulary = _vocabulary(open_config(pretrained)) or 0
    fix = "copy or fetch the tokenizer files of this model again"
    with LibraryErrors(f"the tokenizer of {pretrained.name} does not open", fix):
        tokenizer = AutoTokenizer.from_pretrained(pretrained.folder, local_files_only=True, trust_remote_code=False)
        tokenizer.model_max_length = int(tokenizer.model_max_length)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
        if tokenizer.pad_token is not None:
            tell(f"no padding token, so it pads with its end-of-text token {tokenizer.pad_token}, saved as such")
    if tokenizer.pad_token is None:
        what = f"the tokenizer of {pretrained.name} has neither a padding nor an end-of-text token"
        raise ModelError.at("model.name", what, "add pad_token to its tokenizer_config.json")
    tokens = 1 + max(tokenizer.get_vocab().values(), default=-1)
    # Embeddings are often a little larger than the vocabulary, for the sake of speed, but never twice as large.
    if not vocabulary / 2 <= tokens <= vocabulary:
        raise ModelError.at(
            "model.name",
            f"the tokenizer of {pretrained.name} has {tokens:,} tokens, the model has {vocabulary:,}",
            "use the tokenizer files that came with these weights",
        )
    return tokenizer


def longest_text(pretrained: Pretrained, tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> int:
    """Tokens that a text may have: `max_length` if given, else the default, within what the model can read.

    Raises:
        ConfigError: `max_length` is above the model's own limit.
    """
    limit = position_limit(open_config(pretrained), tokenizer)
    if max_length is None:
        return min(DEFAULT_MAX_LENGTH, limit or DEFAULT_MAX_LENGTH)
    if limit and max_length > limit:
        raise ConfigError.at(
            "model.max_length",
            f"{max_length} tokens, but {pretrained.name} reads at most {limit}",
            f"set model.max_length to {limit} or less",
        )
    return max_length


def position_limit(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Tokens that the model can read, special ones counted; None where neither model nor tokenizer has a limit."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    if positions and config.model_type in COUNT_POSITIONS_FROM_PAD:
        positions -= config.pad_token_id + 1
    stated = [limit for limit in (positions, tokenizer.model_max_length) if limit and 0 < limit <= UNLIMITED]
    return int(min(stated)) if stated else None


def build_classifier(
    pretrained: Pretrained,
    task: Task,
    class_names: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    tell: Tell = lambda note: None,
) -> PreTrainedModel:
    """The pre-trained encoder in fp32 with a head for this task; torch's seed draws a new head.

    Args:
        pretrained: the model's folder.
        task: what the head is for.
        class_names: the classes in the order of their ids.
        tokenizer: pads the texts.
        tell: is given a sentence when a head that came with the model is replaced, reordered or renamed.

    Raises:
        ModelError: not a text classifier, or weights that are not this model's.
    """
    settings: Mapping[str, Any] = {
        # The head of a model that was tuned for other classes gives way to a new one.
        "ignore_mismatched_sizes": True,
        "num_labels": len(class_names),
        "id2label": dict(enumerate(class_names)),
        "label2id": {name: index for index, name in enumerate(class_names)},
        "problem_type": PROBLEM_TYPES[task],
    }
    model, absent, misshapen = _open_classifier(pretrained, settings)
    backbone = sorted(name for name in absent | misshapen if _in_backbone(name, model))
    if backbone:
        raise ModelError.at(
            "model.name",
            f"the weights of {pretrained.name} are not those of its {CONFIG}: {len(backbone)} are absent or of "
            f"another shape, such as {backbone[0]}",
            f"use the weights and the {CONFIG} of one model",
        )
    known = [str(name) for name in (open_config(pretrained).id2label or {}).values()]
    if note := fit_head(model, known, class_names, absent, misshapen):
        tell(note)
    # Decoders find a text's last token by this id.
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    # Code that came with the model was not run, so the saved folder must not ask for it either.
    model.config.__dict__.pop("auto_map", None)
    return model


def load_classifier(pretrained: Pretrained) -> tuple[PreTrainedModel, set[str]]:
    """A sequence classifier from a folder as it is, safetensors only, no code from the folder, in fp32.

    Returns:
        The model, and the names of its weights that the folder does not have: they were drawn at random.

    Raises:
        ModelError: the folder cannot be opened as one, or holds weights that are not finite or of another shape.
    """
    model, absent, misshapen = _open_classifier(pretrained, {"ignore_mismatched_sizes": True})
    if misshapen:
        what = f"{sorted(misshapen)[0]} of {pretrained.name} has another shape than its {CONFIG} describes"
        raise ModelError.at("model.name", what, f"use the weights and the {CONFIG} of one model")
    return model, absent


def _open_classifier(pretrained: Pretrained, settings: Mapping[str, Any]) -> tuple[PreTrainedModel, set[str], set[str]]:
    """The model, the names of the weights that the folder does not have, and of those that have another shape there."""
    _check_size(pretrained)
    with LibraryErrors(f"{pretrained.name} does not open as a classifier"):
        model, report = AutoModelForSequenceClassification.from_pretrained(
            pretrained.folder,
            dtype="float32",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **settings,
        )
    _check_finite(pretrained, model)
    return model, set(report["missing_keys"]), {name for name, *_ in report["mismatched_keys"]}


def _vocabulary(config: PretrainedConfig) -> int | None:
    return getattr(config.get_text_config(), "vocab_size", None)


def _in_backbone(name: str, model: PreTrainedModel) -> bool:
    """Whether a weight must come with the pre-trained model; heads and poolers are trained for the task."""
    return in_base(name, model) and ".pooler." not in name


def _check_size(pretrained: Pretrained) -> None:
    """Refuse a config.json that describes a larger model than the files hold, before it takes all the memory."""
    config = open_config(pretrained)
    stored = stored_weights(Path(pretrained.folder)).elements
    # On the meta device shapes are worked out and nothing is stored.
    with LibraryErrors(f"{CONFIG} of {pretrained.name} describes no model"), torch.device("meta"):
        build = AutoModelForSequenceClassification.from_config
        skeleton = build(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
    needed = sum(weight.numel() for name, weight in skeleton.named_parameters() if _in_backbone(name, skeleton))
    if needed > stored:
        raise ModelError.at(
            "model.name",
            f"the weights of {pretrained.name} are not those of its {CONFIG}: that describes {needed:,} numbers, "
            f"the files hold {stored:,}",
            f"use the weights and the {CONFIG} of one model",
        )


def _check_finite(pretrained: Pretrained, model: PreTrainedModel) -> None:
    for name, weight in model.state_dict().items():
        # A sum is finite unless something in it is not, or the numbers are huge, which the second look tells apart.
        if weight.is_floating_point() and not weight.sum().isfinite() and not weight.isfinite().all():
            count = int((~weight.isfinite()).sum())
            raise ModelError.at(
                "model.name",
                f"{name} of {pretrained.name} has {count:,} numbers of {weight.numel():,} that are NaN or infinite",
                "fetch the weights again, or choose another checkpoint",
            )
