"""Weights out: the saved folder, which is the product. Plain transformers opens it; `forgeml.json` tells its story."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from forgeml.errors import ModelError
from forgeml.model.card import model_card
from forgeml.model.folder import check_folder
from forgeml.model.pretrained import load_classifier, open_tokenizer
from forgeml.model.publishing import beside, publish, remove_stale, writing
from forgeml.model.scale import Scale
from forgeml.records import Manifest, Pretrained
from forgeml.runtime import memory_errors

FORMAT = 1
MANIFEST = "forgeml.json"
CARD_FILE = "README.md"

ENTRIES: Mapping[str, type] = {
    "task": str,
    "labels": list,
    "metrics": dict,
    "config": dict,
    "data": dict,
    "model": dict,
    "files": dict,
}
"""What a manifest of format 1 has besides `format`, and of which kind."""

NOT_SAVED = (
    *("max_length", "stride", "truncation_strategy", "pad_to_multiple_of", "pad_token_type_id"),
    *("is_local", "local_files_only", "name_or_path"),
)
"""What the library adds to a tokenizer's settings while it opens one: how another program cut and padded, and where
the files lay."""


@dataclass(frozen=True)
class Classifying:
    """What is saved together."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    """Tokens of a text, or of a piece of one, that the model was trained with."""
    scale: Scale | None = None
    """Of the numbers that the model gives, which the saved one gives as people wrote them."""


def write_model(folder: Path, classifying: Classifying) -> None:
    """Write weights, configuration and tokenizer as transformers has them into a folder of its own.

    The tokenizer is told the length that the model was trained with, so that `truncation=True` cuts there. It neither
    cuts nor pads unless it is asked to, even if the one that came with the model did. The tokenizer given stays as it
    is.

    Raises:
        MachineError: the folder cannot be written.
    """
    model, scale = classifying.model, classifying.scale
    with writing(folder, _room(folder, model)):
        # What an earlier attempt that was cut short left behind must not get into the new folder.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        weights = model.state_dict()
        model.save_pretrained(folder, state_dict=scale.folded(weights) if scale else weights)
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
        files = {file.name: file_hash(file) for file in sorted(folder.iterdir()) if file.name != MANIFEST}
        text = json.dumps({**manifest, "format": FORMAT, "files": files}, indent=2, ensure_ascii=False)
        try:
            (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
        except BaseException:
            # A model without a manifest opens; one with half a manifest does not.
            (folder / MANIFEST).unlink(missing_ok=True)
            raise


def copy_whole(place: Path, classifying: Classifying, manifest: Manifest) -> None:
    """Write a classifier with the manifest that it came with, if any, to another place, whole or not at all.

    Raises:
        MachineError: the place cannot be written.
    """
    place = place.absolute()
    remove_stale(place)
    prepared = beside(place)
    try:
        write_model(prepared, classifying)
        if manifest:
            write_manifest(prepared, manifest)
        publish(prepared, place)
    finally:
        shutil.rmtree(prepared, ignore_errors=True)


def open_saved(folder: Path, device: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, dict[str, Any]]:
    """The classifier of a saved folder ready to predict, its tokenizer and its manifest.

    Raises:
        ModelError: missing or damaged, or without a trained head.
        MachineError: the memory does not suffice.
    """
    with _about(folder), _for_model("cpu"):
        check_folder(folder, str(folder))
        manifest = read_manifest(folder)
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


def read_manifest(folder: Path) -> dict[str, Any]:
    """`forgeml.json` of a saved folder, whose files are as they were written; empty if something else saved it.

    Raises:
        ModelError: written by a newer ForgeML, or damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        written = int(manifest["format"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise ModelError.at(str(path), f"damaged: {error!r}", "copy the saved folder anew") from error
    if written > FORMAT:
        what = f"written in format {written}; this ForgeML reads up to {FORMAT}"
        raise ModelError.at(str(path), what, "install a newer ForgeML")
    wrong = [name for name, kind in ENTRIES.items() if not isinstance(manifest.get(name), kind)]
    if wrong:
        raise ModelError.at(str(path), f"damaged: no proper {', '.join(wrong)}", "copy the saved folder anew")
    _check_files(folder, manifest["files"])
    return dict(manifest)


def file_hash(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_files(folder: Path, files: Mapping[str, str]) -> None:
    """See that the files are there and have not changed; the card is for people to write in."""
    needed = {Path(name).name: known for name, known in files.items() if name != CARD_FILE}
    absent = [name for name in needed if not (folder / name).is_file()]
    if absent:
        raise ModelError.at(str(folder), f"files are missing: {', '.join(absent)}", "copy the saved folder anew")
    changed = [name for name, known in needed.items() if file_hash(folder / name) != known]
    if changed:
        raise ModelError.at(
            str(folder),
            f"not as it was saved: {', '.join(changed)} (SHA-256 differs from {MANIFEST})",
            f"copy the folder anew; after a change on purpose take the file's line out of `files` in {MANIFEST}",
        )


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
