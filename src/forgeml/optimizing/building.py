"""The files of engines, built from a saved folder: which files each has, and what makes them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forgeml.data.batches import SCORING_BATCH, scoring_batches
from forgeml.data.tokens.bare import BareTokenizer
from forgeml.data.tokens.encoding import encode
from forgeml.data.tokens.tokenizing import facts_of, serialized
from forgeml.errors import ModelError, first_line
from forgeml.inference.engines import ENGINES, install_line
from forgeml.inference.optimized import inputs_by_name
from forgeml.machine import is_out_of_memory
from forgeml.model.manifest import CONFIG
from forgeml.model.publishing import ENGINE_FOLDERS
from forgeml.model.saved import open_saved
from forgeml.records import Cut, Texts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from forgeml.data.tokens.tokenizing import AnyTokenizer

Inputs = Mapping[str, NDArray[np.int64]]
OnProgress = Callable[[int, int], None]

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""What classifiers take, in the order in which files have it."""
EXACT = "onnx-fp32"
"""The engine from whose file all others are built."""
TOKENIZER, OWN_TOKENIZER = "tokenizer.json", "onnx/tokenizer.json"


@dataclass(frozen=True)
class Recipe:
    """How the files of an engine are made."""

    file: str
    """The one that is opened, by its path in the saved folder."""
    maker: tuple[str, str]
    """Module and function that write it, from the exact ONNX file and from batches of inputs."""
    packages: tuple[str, ...]
    """That must be installed."""


_ONNX, _BOTH = ("onnx", "onnxruntime"), ("onnx", "onnxruntime", "openvino")
_ROOM = "forgeml.optimizing"
_PLAIN_IR = Recipe("openvino/model.xml", (f"{_ROOM}.openvino_files", "convert"), _BOTH)

RECIPES: Mapping[str, Recipe] = {
    EXACT: Recipe("onnx/model.onnx", (f"{_ROOM}.export", "export_onnx"), _ONNX),
    "onnx-int8": Recipe("onnx/model_int8.onnx", (f"{_ROOM}.onnx_int8", "quantize_onnx"), _ONNX),
    "openvino-fp32": _PLAIN_IR,
    # In which precision these weights are computed with is said when they are opened.
    "openvino-bf16": _PLAIN_IR,
    "openvino-int8": Recipe("openvino/model_int8.xml", (f"{_ROOM}.openvino_files", "quantize"), _BOTH),
}
"""Of all engines but torch, which runs the saved folder as it is."""

CALIBRATED = frozenset({"onnx-int8", "openvino-int8"})
"""Engines whose files depend on how large the numbers inside the model become."""


def lacks(name: str) -> str:
    """What to type before the files of an engine can be made; empty where all is there."""
    packages = RECIPES[name].packages if name in RECIPES else (ENGINES[name].package,)
    if all(find_spec(package) for package in packages):
        return ""
    return "pip install 'forgeml[optimize]'" if name in RECIPES else install_line(name)


def build(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: AnyTokenizer,
    calibration: Sequence[Inputs],
    on_progress: OnProgress,
) -> dict[str, str]:
    """Write the files of all engines that can be had into a saved folder.

    Args:
        folder: the saved folder.
        model: that of the folder, in fp32 on the processor.
        tokenizer: that of the folder.
        calibration: batches of inputs that eight-bit numbers are set by.
        on_progress: told the files done and those in all.

    Returns:
        Of the engines that cannot be had, why not.
    """
    reasons = {name: f"needs {lacks(name)}" for name in ENGINES if lacks(name)}
    wanted = [name for name in RECIPES if name not in reasons]
    for done, name in enumerate(wanted):
        on_progress(done, len(wanted))
        try:
            write(name, folder, model, tokenizer, calibration)
        except (ModelError, np.linalg.LinAlgError, RuntimeError, ValueError) as error:
            # Whatever the libraries cannot do with this architecture, there are other engines.
            if is_out_of_memory(error):
                raise
            reasons[name] = first_line(error)
            if name == EXACT:
                # All others are made from its file.
                return reasons | dict.fromkeys(wanted, reasons[name])
    on_progress(len(wanted), len(wanted))
    return reasons


def build_all(
    folder: Path, hashes: Mapping[str, str], texts: Texts, cut: Cut, on_progress: OnProgress
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write the files of all engines that can be had into a saved folder, and say what is needed to open them.

    Args:
        folder: the saved folder.
        hashes: SHA-256 of its files by their names, as its manifest has them.
        texts: that eight-bit numbers are set by.
        cut: what the model reads of a long text.
        on_progress: told the files done and those in all.

    Returns:
        The entries of the record that the engines are opened by, and of those that cannot be had, why not.

    Raises:
        ModelError: the folder does not open.
    """
    model, tokenizer, _ = open_saved(folder, "cpu")
    facts = record_tokenizer(tokenizer, folder)
    if facts is None:
        reasons = dict.fromkeys(RECIPES, "its tokenizer is written in Python, which needs transformers")
    else:
        reasons = build(folder, model, tokenizer, calibration_inputs(tokenizer, texts, cut), on_progress)
    files = {name: files_of(name, folder) for name in RECIPES if name not in reasons}
    weights = weights_of(hashes, folder)
    return {"files": files, "tokenizer": facts, "max_length": cut.max_length, "weights": weights}, reasons


def write(
    name: str, folder: Path, model: PreTrainedModel, tokenizer: AnyTokenizer, calibration: Sequence[Inputs] = ()
) -> None:
    """Write the files of one engine, unless they are there; those of `EXACT` come before all others.

    Args:
        name: one of `RECIPES`.
        folder: to write into.
        model: in fp32 on the processor.
        tokenizer: of the model.
        calibration: batches of inputs, for engines of `CALIBRATED`.

    Raises:
        ModelError: the architecture has something in it that cannot be written so.
    """
    target = folder / RECIPES[name].file
    target.parent.mkdir(exist_ok=True)
    module, function = RECIPES[name].maker
    run = getattr(importlib.import_module(module), function)
    if name == EXACT:
        run(model, inputs_of(tokenizer), target)
    elif not target.exists():
        run(folder / RECIPES[EXACT].file, target, *([calibration] if name in CALIBRATED else []))


def weights_of(hashes: Mapping[str, str], folder: Path) -> dict[str, str]:
    """SHA-256 and size of the files that the engines' files are made of."""
    names = [name for name in hashes if name == CONFIG or name.endswith(".safetensors")]
    return {name: f"{hashes[name]} {(folder / name).stat().st_size}" for name in names}


def files_of(name: str, folder: Path) -> list[str]:
    """Paths in the folder of an engine's files that are there, the one that is opened first."""
    file = folder / RECIPES[name].file
    both = (file, file.with_suffix(".bin")) if file.suffix == ".xml" else (file,)
    return [path.relative_to(folder).as_posix() for path in both if path.exists()]


def inputs_of(tokenizer: AnyTokenizer) -> list[str]:
    """What the model of a tokenizer takes."""
    return [name for name in INPUTS if name in {*tokenizer.model_input_names, "attention_mask"}]


def calibration_inputs(tokenizer: AnyTokenizer, texts: Texts, cut: Cut) -> list[Inputs]:
    """Texts in batches of like length, as engines take them."""
    names, batches = inputs_of(tokenizer), scoring_batches(encode(tokenizer, texts, cut), SCORING_BATCH)
    return [inputs_by_name(batch, names) for batch in batches]


def record_tokenizer(tokenizer: AnyTokenizer, folder: Path) -> dict[str, Any] | None:
    """What a `BareTokenizer` needs, with the name of its file in the folder, which is written if need be.

    None for a tokenizer that is written in Python, which is not to be had without transformers.
    """
    content = serialized(tokenizer)
    if content is None:
        return None
    facts = facts_of(tokenizer)
    saved = folder / TOKENIZER
    if saved.is_file() and serialized(BareTokenizer.open(saved, facts)) == content:
        return {"file": TOKENIZER, **facts}
    (folder / OWN_TOKENIZER).parent.mkdir(exist_ok=True)
    (folder / OWN_TOKENIZER).write_text(content, encoding="utf-8")
    return {"file": OWN_TOKENIZER, **facts}


def refuse_others(folder: Path) -> None:
    """See that no file stands where one of an engine is to be written.

    Raises:
        ModelError: with the first one, which somebody else has put there.
    """
    names = [*(recipe.file for recipe in RECIPES.values()), OWN_TOKENIZER]
    there = [name for name in names if (folder / name).exists()]
    if there:
        what = f"{there[0]} was not written by forgeml optimize, which would replace it"
        raise ModelError.at(str(folder), what, "move it out of the folder")


def remove_others(folder: Path, kept: Iterable[str]) -> None:
    """Remove the files of all engines but those named, and folders that are empty then."""
    made = {OWN_TOKENIZER, *(file for name in RECIPES for file in files_of(name, folder))}
    for name in made.difference(kept):
        (folder / name).unlink(missing_ok=True)
    for place in ENGINE_FOLDERS:
        if (folder / place).is_dir() and not any((folder / place).iterdir()):
            (folder / place).rmdir()
