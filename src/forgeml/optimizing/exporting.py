"""A saved model as a file for other tools, checked before it is put in its place."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from forgeml.errors import ConfigError, MachineError, ModelError
from forgeml.inference.engines import ENGINES
from forgeml.model.publishing import writing
from forgeml.model.saved import open_saved
from forgeml.optimizing.building import EXACT, calibration_inputs, files_of, inputs_of, lacks, write
from forgeml.records import Cut, ListedTexts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from forgeml.data.tokens.tokenizing import AnyTokenizer

ENGINE_OF: Mapping[str, str] = {"onnx": "onnx-fp32", "openvino": "openvino-fp32"}
ENDINGS: Mapping[str, str] = {"onnx": ".onnx", "openvino": ".xml"}
SAMPLE = ("A text.", "Another one, of some more words than the first.", "")
SAMPLE_LENGTH = 16
LARGEST_DIFFERENCE = 1e-3
"""Of logits of usual size; those of files that are right differ a hundred times less."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    files: list[str]
    inputs: list[str]
    difference: float
    """Largest one between the logits of the file and those of the model."""


def export(model: str, to: str, output: str | None, overwrite: bool) -> Exported:
    """Write a saved model in fp32.

    Args:
        model: the saved folder.
        to: `onnx` or `openvino`.
        output: the file; None for the folder's name with the ending of the kind, in the working folder.
        overwrite: whether a file that is there may be replaced.

    Raises:
        ConfigError: the output cannot be meant so.
        ModelError: the folder does not open, or its architecture cannot be written.
        MachineError: a package is absent, or the place cannot be written.
    """
    name, folder = ENGINE_OF[to], Path(os.path.expanduser(model))
    target = Path(os.path.expanduser(output)) if output else Path(folder.resolve().name + ENDINGS[to])
    _check_target(target, ENDINGS[to], overwrite)
    if lacks(name):
        raise MachineError.at("--to", f"{to} cannot be written here", lacks(name))
    opened, tokenizer, _ = open_saved(folder, "cpu")
    with writing(target), tempfile.TemporaryDirectory(prefix=".forgeml-", dir=target.absolute().parent) as place:
        for needed in dict.fromkeys((EXACT, name)):
            write(needed, Path(place), opened, tokenizer)
        files = files_of(name, Path(place))
        difference = _difference(Path(place) / files[0], name, opened, tokenizer)
        if not difference <= LARGEST_DIFFERENCE:
            what = f"the file that was written differs from the model by {difference:g} in its logits"
            raise ModelError.at(model, what, "report it with the name of the model; torch runs it as it is")
        written = [_move(Path(place) / file, target) for file in reversed(files)]
    return Exported(written[::-1], inputs_of(tokenizer), difference)


def _check_target(target: Path, ending: str, overwrite: bool) -> None:
    if target.suffix != ending or target.is_dir():
        named = target.parent / f"{target.stem or 'model'}{ending}"
        raise ConfigError.at("--output", f"{target} is no file that ends in {ending}", f"name it {named}")
    if not target.absolute().parent.is_dir():
        raise ConfigError.at("--output", f"no folder {target.parent}", "make it, or choose another one")
    both = [target, target.with_suffix(".bin")] if ending == ENDINGS["openvino"] else [target]
    there = [str(file) for file in both if file.exists()]
    if there and not overwrite:
        raise ConfigError.at("--output", f"{there[0]} is there already", "choose another name, or add --overwrite")


def _difference(file: Path, name: str, model: PreTrainedModel, tokenizer: AnyTokenizer) -> float:
    """The largest one between logits of the file and of the model, relative to those above 1."""
    loaded = importlib.import_module(ENGINES[name].module).load(file, "fp32")
    largest = 0.0
    for texts in (ListedTexts(SAMPLE), ListedTexts(SAMPLE[:1])):
        for inputs in calibration_inputs(tokenizer, texts, Cut(SAMPLE_LENGTH)):
            with torch.inference_mode():
                expected = model(**{key: torch.from_numpy(value) for key, value in inputs.items()}).logits.numpy()
            found = np.abs(loaded.run({key: inputs[key] for key in loaded.inputs}) - expected)
            largest = max(largest, float((found / np.maximum(np.abs(expected), 1)).max()))
    return largest


def _move(file: Path, target: Path) -> str:
    """Put a file in its place, beside the target and with its name."""
    place = target.with_suffix(file.suffix)
    file.replace(place)
    return str(place)
