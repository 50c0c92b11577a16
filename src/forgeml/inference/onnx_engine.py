"""A saved model run by ONNX Runtime, without torch and transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from forgeml.inference.engines import Engine
from forgeml.inference.optimized import Loaded, open_optimized
from forgeml.machine import thread_count
from forgeml.model.logits import Logits


def open_engine(folder: Path, name: str, manifest: Mapping[str, Any], device: str) -> Engine:
    """The model of a folder that has the files of this engine, ready to run.

    Raises:
        ModelError: files are missing, or are not as they were saved.
    """
    return open_optimized(folder, name, manifest, load)


def load(file: Path, precision: str) -> Loaded:
    """A file of this library, to be computed in a precision."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = thread_count()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(inputs: Mapping[str, Any]) -> Logits:
        try:
            logits: Logits = session.run(["logits"], dict(inputs))[0]
        except (Fail, RuntimeException) as error:
            if "allocate" not in str(error):
                raise
            raise MemoryError(str(error)) from error
        return logits

    return Loaded(tuple(names), run)
