"""Weights out: the saved folder, which is the product. Plain transformers opens it; `forgeml.json` tells its story."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from forgeml.errors import MachineError, ModelError
from forgeml.model.pretrained import check_folder, load_classifier, open_tokenizer
from forgeml.records import Manifest, Pretrained

FORMAT = 1
MANIFEST = "forgeml.json"

AT_FDCWD = -100
RENAME_EXCHANGE = 2


def write_model(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
    """Write weights, configuration and tokenizer as transformers has them.

    The tokenizer is told the length that the model was trained with, so that `truncation=True` cuts there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(folder)
    for file in folder.iterdir():
        # The library writes weights with mode 600, which keeps a server under another user from reading them.
        file.chmod(0o644)


def write_manifest(folder: Path, manifest: Manifest, card: str) -> None:
    """Complete the folder: the model card, and `forgeml.json` with the SHA-256 of every other file."""
    (folder / "README.md").write_text(card, encoding="utf-8")
    files = {file.name: file_hash(file) for file in sorted(folder.iterdir()) if file.name != MANIFEST}
    text = json.dumps({"format": FORMAT, **manifest, "files": files}, indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def publish(prepared: Path, place: Path) -> None:
    """Move a finished folder to its place; whoever looks sees the old one whole or the new one whole.

    Raises:
        MachineError: the place cannot be written.
    """
    try:
        _flush(prepared)
        if place.exists():
            _exchange(prepared, place)
            shutil.rmtree(prepared)
        else:
            prepared.rename(place)
        _flush_folder(place.parent)
    except OSError as error:
        raise MachineError.at(
            str(place), f"cannot be written: {error}", "check the rights and the free space"
        ) from error


def copy_whole(
    place: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int, manifest: Manifest
) -> None:
    """Write a classifier with the manifest that it came with to another place, whole or not at all."""
    beside = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        write_model(beside, model, tokenizer, max_length)
        if manifest:
            write_manifest(beside, manifest, model_card(manifest))
        publish(beside, place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_place(place: Path) -> None:
    """See that a model may be saved at this place, before an hour is spent.

    Raises:
        MachineError: no right to write, or something else than a saved model stands there.
    """
    holder = next(parent for parent in (place.parent, *place.parent.parents) if parent.exists())
    if not holder.is_dir() or not os.access(holder, os.W_OK | os.X_OK):
        raise MachineError.at("output_dir", f"no right to write in {holder}", "choose another output_dir")
    if place.exists() and not (place / "config.json").is_file() and not _is_empty_folder(place):
        raise MachineError.at(
            "output_dir", f"{place} is there and is not a saved model", "move it away or choose another output_dir"
        )


def read_manifest(folder: Path) -> dict[str, Any]:
    """`forgeml.json` of a saved folder; empty for a model that was saved by something else.

    Raises:
        ModelError: written by a newer ForgeML, or damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        written = int(manifest["format"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError.at(str(path), f"damaged: {error!r}", "copy the saved folder anew") from error
    if written > FORMAT:
        raise ModelError.at(
            str(path), f"format {written}; this ForgeML reads up to {FORMAT}", "install a newer ForgeML"
        )
    absent = [name for name in manifest.get("files", {}) if not (folder / name).is_file()]
    if absent:
        raise ModelError.at(str(folder), f"files are missing: {', '.join(absent)}", "copy the saved folder anew")
    return manifest


def open_saved(folder: Path, device: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, dict[str, Any]]:
    """The classifier of a saved folder ready to predict, its tokenizer and its manifest.

    Raises:
        ModelError: missing or damaged, or without a trained head.
    """
    check_folder(folder, str(folder))
    manifest = read_manifest(folder)
    pretrained = Pretrained(str(folder), None, str(folder), 0, False)
    model, missing = load_classifier(pretrained)
    if missing:
        raise ModelError.at(
            str(folder),
            f"not a trained classifier: weights are absent, such as {sorted(missing)[0]}",
            "train one first",
        )
    model.to(torch.device(device))  # type: ignore[arg-type]
    model.train(mode=False)
    return model, open_tokenizer(pretrained), manifest


def file_hash(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


CARD = """---
library_name: transformers
pipeline_tag: text-classification
---

# Text classifier

Classes: {classes}.

Fine-tuned with ForgeML from `{model}` on `{data}` ({rows} texts).

{metrics}

```python
from transformers import pipeline

classify = pipeline("text-classification", model="path/of/this/folder")
classify("A text.", truncation=True)
```

`forgeml.json` has the whole configuration, the versions, the fingerprint of the data and the hash of each file.
"""


def model_card(manifest: Mapping[str, Any]) -> str:
    """A short README.md for the saved folder, in the form that the hub reads."""
    metrics, data = manifest["metrics"], manifest["data"]
    names = dict.fromkeys(name for values in metrics.values() for name in values)
    table = [f"| metric | {' | '.join(metrics)} |", "|---" * (1 + len(metrics)) + "|"]
    table += [f"| {name} | {' | '.join(f'{metrics[split][name]:.4f}' for split in metrics)} |" for name in names]
    return CARD.format(
        classes=", ".join(manifest["labels"]),
        model=manifest["model"]["name"],
        data=data["name"],
        rows=", ".join(f"{count} {split}" for split, count in data["rows"].items()),
        metrics="\n".join(table),
    )


def _is_empty_folder(place: Path) -> bool:
    return place.is_dir() and not any(place.iterdir())


def _flush(folder: Path) -> None:
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _exchange(one: Path, other: Path) -> None:
    """Swap two folders in one move where the system can (Linux `renameat2`), else in three."""
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap and swap(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return
    aside = one.with_name(one.name + ".old")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)
