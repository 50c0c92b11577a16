"""Weights out: the saved folder, which is the product. Plain transformers opens it; `forgeml.json` tells its story."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from forgeml.errors import ModelError
from forgeml.machine import memory_errors
from forgeml.model.card import model_card
from forgeml.model.folder import check_folder
from forgeml.model.manifest import CARD_FILE, FORMAT, MANIFEST, check_files, file_hashes, read_manifest
from forgeml.model.pretrained import load_classifier, open_tokenizer
from forgeml.model.publishing import copy_files, prepared_for, writing
from forgeml.records import Manifest, Pretrained

NOT_SAVED = (
    *("max_length", "stride", "truncation_strategy", "pad_to_multiple_of", "pad_token_type_id"),
    *("is_local", "local_files_only", "name_or_path"),
)
"""What the library adds to a tokenizer's settings while it opens one: how another program cut and padded, and where
the files lay."""

Fold = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
"""From a model's weights by name to those that are saved in their place; the model itself stays as it is."""


@dataclass(frozen=True)
class Classifying:
    """What is saved together."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    """Tokens of a text, or of a piece of one, that the model was trained with."""
    folds: tuple[Fold, ...] = ()
    """What the training needed beside the plain model, such as a scale, and the saved weights have in themselves."""
    weights: Mapping[str, torch.Tensor] | None = None
    """The model's, where it has only a part of them itself."""


def write_model(folder: Path, classifying: Classifying) -> None:
    """Write weights, configuration and tokenizer as transformers has them into a folder of its own.

    The tokenizer is told the length that the model was trained with, so that `truncation=True` cuts there. It neither
    cuts nor pads unless it is asked to, even if the one that came with the model did. The tokenizer given stays as it
    is.

    Raises:
        MachineError: the folder cannot be written.
    """
    model = classifying.model
    with writing(folder, _room(folder, model)):
        # What an earlier attempt that was cut short left behind must not get into the new folder.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        weights = dict(model.state_dict() if classifying.weights is None else classifying.weights)
        for fold in classifying.folds:
            weights = fold(weights)
        model.save_pretrained(folder, state_dict=weights)
        _as_saved(classifying.tokenizer, classifying.max_length).save_pretrained(folder)
        # The library writes weights with mode 600, which keeps a server under another user from reading them. Who may
        # enter the new folder, by the user's umask, may read what is in it.
        mode = folder.stat().st_mode & 0o666
        for file in folder.iterdir():
            file.chmod(mode)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Complete the folder: the model card, and `forgeml.json` with the SHA-256 of every other file.

    Raises:
        MachineError: the folder cannot be written.
    """
    with writing(folder):
        (folder / CARD_FILE).write_text(model_card(manifest), encoding="utf-8")
        text = json.dumps({**manifest, "format": FORMAT, "files": file_hashes(folder)}, indent=2, ensure_ascii=False)
        try:
            (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
        except BaseException:
            # A model without a manifest opens; one with half a manifest does not.
            (folder / MANIFEST).unlink(missing_ok=True)
            raise


def copy_whole(place: Path, classifying: Classifying, manifest: Manifest, source: Path) -> None:
    """Write a classifier with the manifest that it came with, if any, to another place, whole or not at all.

    Args:
        place: where to.
        classifying: what is written.
        manifest: of the folder that it came from.
        source: that folder, which has the files of other engines.

    Raises:
        ModelError: the files of other engines are no longer there, or have changed.
        MachineError: the place cannot be written.
    """
    with prepared_for(place) as prepared:
        write_model(prepared, classifying)
        if manifest:
            copy_files(source, prepared, manifest["files"], [name for name in manifest["files"] if "/" in name])
            write_manifest(prepared, manifest)


def open_saved(folder: Path, device: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, dict[str, Any]]:
    """The classifier of a saved folder ready to predict, its tokenizer and its manifest.

    Raises:
        ModelError: missing or damaged, or without a trained head.
        MachineError: the memory does not suffice.
    """
    with _about(folder), _for_model("cpu"):
        check_folder(folder, str(folder))
        manifest = read_manifest(folder)
        files = manifest.get("files", {})
        # What other engines have beside the weights is looked at when one of them is opened.
        check_files(folder, files, [name for name in files if "/" not in name])
        pretrained = Pretrained(str(folder), None, str(folder), 0, False)
        tokenizer = open_tokenizer(pretrained)
        model, drawn = load_classifier(pretrained)
    if drawn:
        what = f"not a trained classifier: weights are absent, such as {sorted(drawn)[0]}"
        raise ModelError.at(str(folder), what, "train one first, with forgeml train")
    with _for_model(device):
        model.to(torch.device(device))  # type: ignore[arg-type]
    model.train(mode=False)
    return model, tokenizer, manifest


def _as_saved(tokenizer: PreTrainedTokenizerBase, max_length: int) -> PreTrainedTokenizerBase:
    """A copy, since other threads may be at work with the tokenizer itself."""
    saved = copy.deepcopy(tokenizer)
    saved.model_max_length = max_length
    for name in NOT_SAVED:
        saved.init_kwargs.pop(name, None)
    backend = getattr(saved, "backend_tokenizer", None)
    if backend is not None:
        backend.no_padding()
        backend.no_truncation()
    return saved


def _room(folder: Path, model: PreTrainedModel) -> str:
    """How much the weights take and the disk has, in words for when it does not suffice."""
    holder = next(parent for parent in folder.absolute().parents if parent.exists())
    needed = sum(weight.nbytes for weight in (*model.parameters(), *model.buffers()))
    return f" (the weights take {needed / 1e6:,.1f} MB; {shutil.disk_usage(holder).free / 1e6:,.1f} MB were free)"


def _for_model(device: str) -> AbstractContextManager[None]:
    return memory_errors(f"not enough memory on {device} for the model", "free memory there, or choose another device")


@contextmanager
def _about(folder: Path) -> Iterator[None]:
    """Name the folder where errors would name the setting `model.name`: no setting chose this one."""
    try:
        yield
    except ModelError as error:
        problems = [replace(p, where=str(folder)) if p.where == "model.name" else p for p in error.problems]
        raise ModelError(problems) from error
