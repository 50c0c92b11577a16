"""What the engines share that run files which `forgeml optimize` has written: all but the running itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forgeml.batch import Batch
from forgeml.data.tokens.bare import BareTokenizer
from forgeml.errors import ModelError
from forgeml.inference.engines import ENGINES, RECORD, Engine
from forgeml.model.logits import Logits, mean_of_pieces
from forgeml.model.manifest import CARD_FILE, check_files, long_texts_of
from forgeml.model.publishing import copy_files, prepared_for, writing
from forgeml.records import Cut


@dataclass(frozen=True)
class Loaded:
    """A model as a library has loaded it."""

    inputs: tuple[str, ...]
    """Names of what it takes: `input_ids`, `attention_mask` and maybe `token_type_ids`."""
    run: Callable[[Mapping[str, NDArray[np.int64]]], Logits]
    """Logits of the pieces, shape (pieces, outputs), from arrays of shape (pieces, longest)."""


def open_optimized(folder: Path, name: str, manifest: Mapping[str, Any], load: Callable[[Path, str], Loaded]) -> Engine:
    """The model of a folder, ready to run by a library that reads its own kind of files.

    Args:
        folder: the saved folder.
        name: of the engine.
        manifest: of the folder.
        load: opens a file to be computed in a precision.

    Raises:
        ModelError: files are missing, or are not as they were saved.
    """
    record = manifest[RECORD]
    files, tokenizer = record["files"][name], record["tokenizer"]
    _check_weights(folder, record["weights"], manifest["files"])
    check_files(folder, manifest["files"], [*files, tokenizer["file"]])
    loaded = load(folder / files[0], ENGINES[name].precision)
    return Engine(
        name=name,
        forward=partial(_forward, loaded),
        tokenizer=BareTokenizer.open(folder / tokenizer["file"], tokenizer),
        task=manifest["task"],
        labels=tuple(manifest["labels"]),
        cut=Cut(record["max_length"], long_texts_of(manifest)),
        device="cpu",
        save=partial(_save, folder),
    )


def inputs_by_name(batch: Batch, names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """What a model takes of a batch, each of shape (pieces, longest)."""
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if "token_type_ids" in names:
        types = batch.token_type_ids
        inputs["token_type_ids"] = np.zeros_like(batch.input_ids) if types is None else types
    return {name: inputs[name] for name in names}


def _forward(loaded: Loaded, batch: Batch) -> Logits:
    return mean_of_pieces(loaded.run(inputs_by_name(batch, loaded.inputs)), batch)


def _check_weights(folder: Path, recorded: Mapping[str, str], files: Mapping[str, str]) -> None:
    """See that the files were made of the weights that are in the folder, as far as hashes and sizes tell.

    Raises:
        ModelError: the folder has other weights by now.
    """
    sizes = {name: int(known.partition(" ")[2]) for name, known in recorded.items() if (folder / name).is_file()}
    other = [name for name, known in recorded.items() if files.get(name) != known.partition(" ")[0]]
    other += [name for name, size in sizes.items() if (folder / name).stat().st_size != size]
    if other:
        what = f"{other[0]} has changed since the files of other engines were made of it"
        raise ModelError.at(str(folder), what, "run forgeml optimize on the folder anew, or choose --engine torch-fp32")


def _save(source: Path, place: Path, manifest: Mapping[str, Any]) -> None:
    """Copy the folder, file by file: weights for torch have not been read."""
    with prepared_for(place) as prepared:
        with writing(prepared):
            prepared.mkdir(parents=True)
        there = [path.name for path in source.iterdir() if path.is_file()]
        listed = [name for name in manifest["files"] if name != CARD_FILE]
        copy_files(source, prepared, manifest["files"], dict.fromkeys([*there, *listed]))
