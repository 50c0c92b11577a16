"""What runs a saved model: which engines there are, which one a folder is opened with, and an opened one."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgeml.batch import Batch
from forgeml.errors import ConfigError, MachineError, ModelError, nearest
from forgeml.machine import describe_machine
from forgeml.model.logits import Logits
from forgeml.model.manifest import MANIFEST
from forgeml.records import Cut, Task

if TYPE_CHECKING:
    from forgeml.data.tokens.tokenizing import AnyTokenizer

RECORD = "engine"
"""Key of the manifest under which `forgeml optimize` writes what it has found."""

ENTRIES: Mapping[str, type] = {"name": str, "device": str, "machine": dict, "files": dict, "weights": dict}
"""What every record has, and of which kind."""


@dataclass(frozen=True)
class Kind:
    """What an engine needs, and how it computes."""

    module: str
    """Of ForgeML; it has `open_engine(folder, name, manifest, device)`."""
    package: str
    """That must be installed."""
    extra: str
    """Of ForgeML that installs the package."""
    precision: str


_TORCH, _ONNX, _OPENVINO = (f"forgeml.inference.{name}_engine" for name in ("torch", "onnx", "openvino"))

ENGINES: Mapping[str, Kind] = {
    "torch-fp32": Kind(_TORCH, "torch", "train", "fp32"),
    "torch-bf16": Kind(_TORCH, "torch", "train", "bf16"),
    "onnx-fp32": Kind(_ONNX, "onnxruntime", "onnx", "fp32"),
    "onnx-int8": Kind(_ONNX, "onnxruntime", "onnx", "int8"),
    "openvino-fp32": Kind(_OPENVINO, "openvino", "openvino", "fp32"),
    "openvino-bf16": Kind(_OPENVINO, "openvino", "openvino", "bf16"),
    "openvino-int8": Kind(_OPENVINO, "openvino", "openvino", "int8"),
}
"""All engines. Those of torch run any saved folder; the others run the files that `forgeml optimize` has written."""

PLAIN = "torch-fp32"
"""The engine of a folder that has not been optimized, and the one that all others are compared with."""


@dataclass(frozen=True)
class Engine:
    """A model that is ready to run, with all that its answers depend on."""

    name: str
    """One of `ENGINES`."""
    forward: Callable[[Batch], Logits]
    """Logits in fp32 of a batch's texts, shape (texts, outputs). Threads may share it."""
    tokenizer: AnyTokenizer
    task: Task
    labels: tuple[str, ...]
    """Class names in the order of the outputs."""
    cut: Cut
    device: str
    save: Callable[[Path, Mapping[str, Any]], None]
    """Writes the model with its manifest to another folder, whole or not at all."""


@dataclass(frozen=True)
class Choice:
    """The engine that a folder is opened with."""

    name: str
    note: str = ""
    """A sentence, where it is not the one that was measured to be the best."""


def open_engine(folder: Path, name: str, manifest: Mapping[str, Any], device: str) -> Engine:
    """The model of a folder, ready to run by the engine of that name.

    Args:
        folder: the saved folder.
        name: one of `ENGINES`, installed, and with its files in the folder.
        manifest: of the folder.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`; only torch computes elsewhere than on the processor.

    Raises:
        ModelError: missing, damaged, or not a trained classifier.
        MachineError: the device is not there, or its memory does not suffice.
    """
    engine: Engine = importlib.import_module(ENGINES[name].module).open_engine(folder, name, manifest, device)
    return engine


def choose(manifest: Mapping[str, Any], wanted: str, device: str) -> Choice:
    """The engine for a folder: the one wanted, or else the recorded one on a machine like that of the record.

    Args:
        manifest: of the folder; its record says which files of other engines are there.
        wanted: `auto`, or one of `ENGINES`.
        device: other devices than the processor are for torch.

    Raises:
        ConfigError: there is no engine of that name.
        ModelError: the folder has no files for it.
        MachineError: it is not installed, or none is that could run the folder.
    """
    record = manifest.get(RECORD)
    if record is not None:
        _check_record(record, manifest["files"])
    if wanted != "auto":
        return Choice(_checked(manifest, wanted, device))
    if device not in ("auto", "cpu") and not is_installed(PLAIN):
        raise MachineError.at("--device", f"only torch computes on {device}, and it is absent", install_line(PLAIN))
    if record is None or record["name"] == PLAIN:
        return Choice(_plain(manifest, ""))
    best: str = record["name"]
    if device not in ("auto", record["device"]):
        return Choice(_plain(manifest, f"{best} was measured on {record['device']}"))
    reason = ""
    if not is_installed(best):
        reason = f"{best} needs {install_line(best)}"
    elif not is_alike(record["machine"]):
        reason = f"{best} was measured on another machine ({record['machine']['processor']})"
    if not reason:
        return Choice(best)
    instead = _plain(manifest, reason)
    return Choice(instead, f"{reason}, so {instead} is used; forgeml optimize measures on this one")


def is_installed(name: str) -> bool:
    """Whether the package of an engine is there."""
    return importlib.util.find_spec(ENGINES[name].package) is not None


def install_line(name: str) -> str:
    """What to type to install the package of an engine."""
    return f"pip install 'forgeml[{ENGINES[name].extra}]'"


def is_alike(machine: Mapping[str, Any]) -> bool:
    """Whether this machine computes as the one described: the same processor with the same instructions."""
    here = describe_machine()
    return all(machine.get(name) == here[name] for name in ("processor", "instructions"))


def _check_record(record: Any, files: Mapping[str, str]) -> None:  # noqa: ANN401 whatever JSON can hold
    """Refuse a record that lacks something, or names files that the manifest does not have."""
    known = isinstance(record, dict) and all(isinstance(record.get(name), kind) for name, kind in ENTRIES.items())
    if not known or not isinstance(record["machine"].get("processor"), str):
        raise _damaged("is damaged")
    unknown = {record["name"], *record["files"]} - ENGINES.keys()
    if unknown:
        what = f"its record names an engine that this ForgeML does not know, {sorted(unknown)[0]}"
        raise ModelError.at(MANIFEST, what, "install a newer ForgeML, or run forgeml optimize on the folder anew")
    named = list(record["files"].values())
    if not all(isinstance(some, list) and some and files.keys() >= set(some) for some in named):
        raise _damaged("names files that the folder does not have")
    by_torch = ENGINES[record["name"]].package == "torch"
    if not by_torch and record["name"] not in record["files"]:
        raise _damaged("has no files for its own engine")
    if named and not (isinstance(record.get("tokenizer"), dict) and isinstance(record.get("max_length"), int)):
        raise _damaged("has no tokenizer")


def _damaged(how: str) -> ModelError:
    return ModelError.at(MANIFEST, f"its record of the engine {how}", "run forgeml optimize on the folder anew")


def _plain(manifest: Mapping[str, Any], reason: str) -> str:
    """The exact engine that can be run here: torch, or else one whose fp32 file is in the folder."""
    files = manifest.get(RECORD, {}).get("files", {})
    exact = [PLAIN, *(name for name in files if ENGINES[name].precision == "fp32")]
    for name in exact:
        if is_installed(name):
            return str(name)
    because = f"{reason}; without it " if reason else ""
    what = f"{because}nothing that is installed runs this folder exactly"
    raise MachineError.at("engine", what, " or ".join(install_line(name) for name in dict.fromkeys(exact)))


def _checked(manifest: Mapping[str, Any], name: str, device: str) -> str:
    if name not in ENGINES:
        close = nearest(name, ENGINES)
        fix = f"did you mean {close}?" if close else f"choose one of auto, {', '.join(ENGINES)}"
        raise ConfigError.at("--engine", f"there is no engine {name!r}", fix)
    if not is_installed(name):
        raise MachineError.at("--engine", f"{name} needs {ENGINES[name].package}, which is absent", install_line(name))
    if ENGINES[name].package == "torch":
        return name
    if name not in manifest.get(RECORD, {}).get("files", {}):
        what = f"the folder has no files for {name}"
        raise ModelError.at("--engine", what, "run forgeml optimize on it, which writes those of the best engine")
    if device not in ("auto", "cpu"):
        raise MachineError.at("--device", f"{name} runs on the processor, not on {device}", "leave --device out")
    return name
