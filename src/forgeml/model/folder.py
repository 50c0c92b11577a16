"""A model's folder, looked at before any library guesses what is meant."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transformers
from transformers import CONFIG_MAPPING

from forgeml.errors import ForgeError, HubError, ModelError, first_line
from forgeml.machine import is_out_of_memory
from forgeml.model.manifest import CONFIG
from forgeml.model.weights import INDEX, WEIGHTS, stored_weights

TOKENIZER_SETS = (
    ("tokenizer.json",),
    ("vocab.txt",),
    ("vocab.json", "merges.txt"),
    ("spiece.model",),
    ("spm.model",),
    ("sentencepiece.bpe.model",),
    ("sentencepiece.model",),
    ("tokenizer.model",),
)
"""A tokenizer is there when all files of one of these sets are."""

ADAPTERS = "adapter_config.json"
"""Beside a model's own weights, of adapters that the library would put into the model while it opens it."""

LAYER_COUNTS = frozenset(
    {
        *("num_hidden_layers", "n_layers", "n_layer", "num_layers", "encoder_layers", "decoder_layers"),
        *("num_hidden_groups", "inner_group_num"),
    }
)
"""Settings that make the library build so many modules one by one."""

MOST_CLASSES = 100_000
"""The library writes a name for each class as soon as it reads `num_labels`."""


def check_folder(folder: Path, name: str) -> None:
    """See that a model's folder has what is needed, and that it is whole.

    Raises:
        ModelError: what is missing or damaged.
    """
    present = _present(folder)
    if CONFIG not in present:
        found = f"it has {', '.join(sorted(present)[:5])}" if present else "it is empty"
        raise ModelError.at(
            "model.name", f"{name} has no {CONFIG} ({found})", "give a folder as save_pretrained writes"
        )
    if ADAPTERS in present:
        what = f"{name} has adapters beside its weights ({ADAPTERS}), which are not opened"
        raise ModelError.at("model.name", what, "merge them into the weights, as merge_and_unload of peft does")
    settings = read_settings(folder)
    if not present.intersection({WEIGHTS, INDEX}):
        raise _no_weights(name, present)
    if not any(present.issuperset(files) for files in TOKENIZER_SETS):
        wanted = ", ".join(" with ".join(files) for files in TOKENIZER_SETS)
        raise ModelError.at("model.name", f"{name} has no tokenizer", f"add the tokenizer's files: one of {wanted}")
    _check_counts(settings, stored_weights(folder).tensors, name)


@contextmanager
def or_hub(away: bool) -> Iterator[None]:
    """Inside `with`, what a folder lacks is the hub's matter if it is in the cache and the hub was asked in vain.

    Raises:
        HubError: something is missing, and the hub is away.
        ModelError: something is missing.
    """
    try:
        yield
    except ModelError as error:
        if not away:
            raise
        lack = error.problems[0]
        what = f"the hub gave no answer, and as far as it is in the cache, {lack.what}"
        raise HubError.at(lack.where, what, f"try again once the hub can be reached; or {lack.fix}") from error


def read_settings(folder: Path) -> dict[str, Any]:
    """`config.json` of a model as it stands.

    Raises:
        ModelError: not JSON, not an object, or it asks for weights that are not looked at.
    """
    path = folder / CONFIG
    fix = f"copy or fetch {path} again"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        start = error.doc.lstrip()[:30].split("\n")[0]
        what = f"line {error.lineno} is not JSON: {error.msg}; the file begins with {start!r}"
        raise ModelError.at("model.name", f"{path}: {what}", fix) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError.at("model.name", f"{path} cannot be read: {first_line(error)}", fix) from error
    if not isinstance(settings, dict):
        raise ModelError.at("model.name", f"{path} holds a {type(settings).__name__}, not an object", fix)
    if settings.get("transformers_weights"):
        what = f"{path} sends to other weights: {settings['transformers_weights']!r}"
        raise ModelError.at("model.name", what, f"name the file {WEIGHTS} and take transformers_weights out")
    return settings


def refuse_own_code(folder: Path, name: str) -> None:
    """See that the architecture is one that transformers has itself.

    Raises:
        ModelError: it would need code that came with the model.
    """
    settings = read_settings(folder)
    kind = str(settings.get("model_type"))
    if "auto_map" in settings and kind not in CONFIG_MAPPING:
        what = f"{name} is a model of its own kind ({kind}), whose code would have to run"
        raise ModelError.at("model.name", what, f"code that comes with a model is never run; {other_model()}")


class LibraryErrors:
    """Inside `with`, what a library raises over the files of a model becomes a ModelError that begins with `what`.

    Over damaged files the libraries raise all kinds of errors, tokenizers even a bare `Exception`. So no more than the
    library's call belongs inside. What tells of the machine or of ForgeML passes.
    """

    def __init__(self, what: str, fix: str = "") -> None:
        """Begin messages with `what`, and end them with `fix`, which is another model when left out."""
        self._what, self._fix = what, fix

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Raise what is to be said of the error, or let it pass."""
        if isinstance(error, Exception) and not isinstance(error, ForgeError) and not is_out_of_memory(error):
            raise ModelError.at(
                "model.name", f"{self._what}: {first_line(error)}", self._fix or other_model()
            ) from error


def other_model() -> str:
    """What to do when the model will not do."""
    known = (
        "distilbert-base-uncased, bert-base-uncased, roberta-base, albert-base-v2, google/electra-base-discriminator"
    )
    return f"choose a text model that transformers {transformers.__version__} knows, such as {known}"


def _present(folder: Path) -> set[str]:
    """Names of what is in the folder."""
    if folder.is_dir():
        return {file.name for file in folder.iterdir()}
    if folder.exists():
        what, fix = f"{folder} is a file", f"give the folder that holds it, {folder.parent}"
    else:
        what, fix = f"no such folder: {folder}", "check the path, or name a model on the hub"
    raise ModelError.at("model.name", what, fix)


def _no_weights(name: str, present: set[str]) -> ModelError:
    pickles = sorted(file for file in present if file.startswith("pytorch_model") and file.endswith(".bin"))
    if not pickles:
        return ModelError.at(
            "model.name", f"{name} has no {WEIGHTS}", "choose a model with weights in safetensors form"
        )
    return ModelError.at(
        "model.name",
        f"{name} has its weights only as a pickle ({pickles[0]}), which is not opened: a pickle can run code",
        "choose a model or a revision in safetensors form; one that you trust can be saved anew with save_pretrained",
    )


def _check_counts(settings: Mapping[str, Any], tensors: int, name: str) -> None:
    """Refuse what would keep the library building for hours: each layer has a tensor of its own at least."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            _check_counts(value, tensors, name)
        most = {"num_labels": MOST_CLASSES, **dict.fromkeys(LAYER_COUNTS, tensors)}.get(key)
        if most is not None and isinstance(value, int | float) and not 0 < value <= most:
            raise ModelError.at(
                "model.name",
                f"{CONFIG} of {name} has {key} {value:,}; with {tensors} tensors of weights it may be 1 to {most:,}",
                "use the weights and the config.json of one model",
            )
