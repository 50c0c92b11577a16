"""The servers that are compared: how each is started, asked and understood, and whether it can be had here."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from forgeml.machine import versions

SCRIPTS = Path(__file__).resolve().parents[1] / "servers"
FORGEML, PIPELINE, MLFLOW, LITSERVE = "forgeml", "pipeline", "mlflow", "litserve"
NAMES = (FORGEML, PIPELINE, MLFLOW, LITSERVE)
FP32 = ("openvino-fp32", "onnx-fp32", "torch-fp32")
PACKAGES = ("fastapi", "uvicorn", "mlflow")
INT8 = ("openvino-int8", "onnx-int8")


@dataclass(frozen=True)
class Model:
    """A saved folder of one single-label model that reads single texts."""

    folder: Path
    max_length: int
    """Tokens that are read of a text."""
    engines: tuple[str, ...]
    """That the folder has files for; torch runs any folder."""


@dataclass(frozen=True)
class Server:
    """One contender."""

    name: str
    command: Callable[[int], list[str]]
    """By the port to listen at."""
    path: str
    """That answers predictions."""
    ready: str
    """That answers 200 once the model is loaded."""
    body: Callable[[str], Any]
    """By a text, of what JSON can hold."""


def read_model(folder: Path) -> Model:
    """What the manifest of a folder tells.

    Raises:
        ValueError: this benchmark does not compare models of that kind.
        OSError: there is no manifest.
    """
    manifest = json.loads((folder / "forgeml.json").read_text(encoding="utf-8"))
    if manifest["task"] != "single_label" or manifest["data"]["text_pair_column"]:
        raise ValueError(f"{folder}: only models with one label for a single text are compared")
    files = manifest.get("engine", {}).get("files", {})
    return Model(folder.resolve(), manifest["config"]["model"]["max_length"], ("torch-fp32", *files))


def usual_engines(model: Model) -> list[str]:
    """The first exact engine and the first one in eight bits that the folder has."""
    firsts = [next((name for name in some if name in model.engines), None) for some in (FP32, INT8)]
    return [name for name in firsts if name is not None]


def forgeml_command(folder: Path, engine: str, port: int) -> list[str]:
    """What starts ForgeML's own server."""
    return [sys.executable, "-m", "forgeml", "serve", str(folder), "--port", str(port), "--engine", engine]


def why_not(name: str, litserve_python: str) -> str | None:
    """Why a server cannot be had here, or None where it can."""
    forgeml = [sys.executable, "-m", "forgeml", "serve", "--help"]
    asked: Mapping[str, tuple[Sequence[str], str]] = {
        FORGEML: (forgeml, "this ForgeML has no command serve"),
        PIPELINE: (_importing(sys.executable, "fastapi", "uvicorn", "transformers"), "FastAPI is not installed"),
        MLFLOW: (_importing(sys.executable, "mlflow.pyfunc", "uvicorn", "transformers"), "MLflow is not installed"),
        LITSERVE: (
            _importing(litserve_python, "litserve", "transformers"),
            "LitServe is not installed; name a Python that has it and transformers with --litserve-python",
        ),
    }
    command, reason = asked[name]
    try:
        done = subprocess.run(command, capture_output=True)
    except OSError as error:
        return f"{litserve_python} does not start: {error}"
    return reason if done.returncode else None


def servers_of(name: str, model: Model, engines: Sequence[str], litserve_python: str, work: Path) -> list[Server]:
    """The contenders of one name; ForgeML is one for each engine.

    Args:
        name: one of NAMES.
        model: to serve.
        engines: of ForgeML.
        litserve_python: a Python that has LitServe.
        work: folder for what has to be written before.
    """
    script = partial(_script_command, model)
    text = partial(_keyed, "text")
    if name == FORGEML:
        return [
            Server(f"{FORGEML} {engine}", partial(forgeml_command, model.folder, engine), "/predict", "/readyz", text)
            for engine in engines
        ]
    if name == MLFLOW:
        return [Server(MLFLOW, partial(_mlflow_command, _saved(model, work)), "/invocations", "/ping", _inputs)]
    python, file = {
        PIPELINE: (sys.executable, "fastapi_pipeline.py"),
        LITSERVE: (litserve_python, "litserve_batched.py"),
    }[name]
    return [Server(name, partial(script, python, file), "/predict", "/health", text)]


def all_versions(litserve_python: str) -> dict[str, str]:
    """Versions of what the figures depend on, those of other servers too, as far as they are there."""
    found = versions()
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    asked = [litserve_python, "-c", "import importlib.metadata; print(importlib.metadata.version('litserve'))"]
    with suppress(OSError):
        done = subprocess.run(asked, capture_output=True, text=True)
        if not done.returncode:
            found[LITSERVE] = done.stdout.strip()
    return found


def said(body: bytes) -> tuple[str, float]:
    """The label and its score in the answer of any of them."""
    found = json.loads(body)
    while not (isinstance(found, dict) and "label" in found):
        found = found["predictions"] if isinstance(found, dict) else found[0]
    return found["label"], found["score"]


def request(server: Server, text: str) -> bytes:
    """A request for one text, whole."""
    return post(server.path, json.dumps(server.body(text), ensure_ascii=False).encode())


def post(path: str, body: bytes) -> bytes:
    """A request with a body that is said to be JSON, whole."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def _importing(python: str, *modules: str) -> list[str]:
    return [python, "-c", f"import {', '.join(modules)}"]


def _script_command(model: Model, python: str, file: str, port: int) -> list[str]:
    return [python, str(SCRIPTS / file), str(model.folder), str(port), str(model.max_length)]


def _mlflow_command(saved: Path, port: int) -> list[str]:
    asked = ["models", "serve", "--model-uri", str(saved), "--port", str(port), "--env-manager", "local"]
    return [sys.executable, "-m", "mlflow", *asked]


def _saved(model: Model, work: Path) -> Path:
    target = work / "mlflow-model"
    script = [sys.executable, str(SCRIPTS / "save_mlflow.py"), str(model.folder), str(target), str(model.max_length)]
    done = subprocess.run(script, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"MLflow could not save the pipeline: {done.stderr.strip().splitlines()[-1]}")
    return target


def _keyed(key: str, text: str) -> dict[str, str]:
    return {key: text}


def _inputs(text: str) -> dict[str, list[str]]:
    return {"inputs": [text]}
