"""A saved model run by torch: in fp32, the reading that all others are compared with, or in bf16."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from forgeml.batch import Batch
from forgeml.errors import ModelError
from forgeml.inference.engines import ENGINES, Engine
from forgeml.model import saved
from forgeml.model.forward import batch_logits
from forgeml.model.logits import Logits
from forgeml.model.manifest import long_texts_of
from forgeml.model.pretrained import DEFAULT_MAX_LENGTH, PROBLEM_TYPES, position_limit
from forgeml.records import Cut, Task
from forgeml.runtime import choose_device

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def open_engine(folder: Path, name: str, manifest: Mapping[str, Any], device: str) -> Engine:
    """The model of a folder, ready to run on a device.

    Raises:
        ModelError: missing, damaged, not a trained classifier, or with outputs that would mislead.
        MachineError: the device is not there, or its memory does not suffice.
    """
    chosen = choose_device(device)
    model, tokenizer, _ = saved.open_saved(folder, chosen)
    _check_labels(folder, model)
    limit = position_limit(model.config, tokenizer) or DEFAULT_MAX_LENGTH
    precision = ENGINES[name].precision
    # What is saved from here is the model in fp32; a bf16 copy of it only answers.
    running = model if precision == "fp32" else _in(model, DTYPES[precision])
    return Engine(
        name=name,
        forward=partial(_forward, running, chosen),
        tokenizer=tokenizer,
        task=_task(model.config),
        labels=tuple(label for _, label in sorted((model.config.id2label or {}).items())),
        cut=Cut(limit, long_texts_of(manifest)),
        device=chosen,
        save=partial(_save, folder, saved.Classifying(model, tokenizer, limit)),
    )


def _forward(model: PreTrainedModel, device: str, batch: Batch) -> Logits:
    with torch.inference_mode():
        logits: Logits = batch_logits(model, batch, device).cpu().numpy()
    return logits


def _in(model: PreTrainedModel, precision: torch.dtype) -> PreTrainedModel:
    running = copy.deepcopy(model)
    running.to(precision)  # type: ignore[arg-type]
    return running


def _save(source: Path, whole: saved.Classifying, place: Path, manifest: Mapping[str, Any]) -> None:
    saved.copy_whole(place, whole, manifest, source)


def _task(config: PretrainedConfig) -> Task:
    """The task by what transformers calls it; a model that does not say tells one class of several, or a number."""
    named = {problem_type: task for task, problem_type in PROBLEM_TYPES.items()}
    return named.get(config.problem_type or "") or ("regression" if config.num_labels == 1 else "single_label")


def _check_labels(folder: Path, model: PreTrainedModel) -> None:
    """Refuse outputs whose names would mislead."""
    names, task = list((model.config.id2label or {}).values()), _task(model.config)
    if task == "regression" and len(names) != 1:
        what = f"a regression with {len(names)} numbers; ForgeML tells one"
    elif task == "single_label" and len(names) < 2:
        what = "a single class, which leaves nothing to choose from"
    elif len(set(names)) < len(names):
        what = f"two classes have the same name: {', '.join(map(str, names))}"
    else:
        return
    raise ModelError.at(str(folder), what, "train a classifier with forgeml train, or mend its config.json")
