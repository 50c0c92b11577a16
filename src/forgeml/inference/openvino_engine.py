"""A saved model run by OpenVINO, without torch and transformers."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from forgeml.inference.engines import Engine
from forgeml.inference.optimized import Loaded, open_optimized
from forgeml.machine import thread_count
from forgeml.model.logits import Logits

PRECISIONS = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}
"""In which all is computed, or all beside int8. Where the processor has no bf16, OpenVINO takes fp32 instead."""

KEPT_KERNELS = 512
"""What is made ready for a shape of batch is kept for the next one. OpenVINO's own bound, 5,000, takes a gigabyte and
more when batches have all shapes, as those of a server; this one takes a third of that at the same speed."""


def open_engine(folder: Path, name: str, manifest: Mapping[str, Any], device: str) -> Engine:
    """The model of a folder that has the files of this engine, ready to run.

    Raises:
        ModelError: files are missing, or are not as they were saved.
    """
    return open_optimized(folder, name, manifest, load)


def load(file: Path, precision: str) -> Loaded:
    """A file of this library, to be computed in a precision."""
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        "INFERENCE_NUM_THREADS": thread_count(),
        "NUM_STREAMS": 1,
        "CPU_RUNTIME_CACHE_CAPACITY": KEPT_KERNELS,
    }
    compiled = core().compile_model(str(file), "CPU", settings)
    names = [one.get_any_name() for one in compiled.inputs]
    requests = threading.local()

    def run(inputs: Mapping[str, Any]) -> Logits:
        # A request may do one thing at a time.
        if not hasattr(requests, "own"):
            requests.own = compiled.create_infer_request()
        # When memory runs out, OpenVINO leaves the answer to the batch before where the new one should be.
        requests.own.get_output_tensor().data[...] = np.nan
        logits = np.array(requests.own.infer(inputs, share_inputs=True)["logits"], np.float32)
        if len(logits) != len(inputs["input_ids"]) or np.isnan(logits).all():
            raise MemoryError("OpenVINO gave no answer")
        return logits

    return Loaded(tuple(names), run)


@cache
def core() -> openvino.Core:
    """The library's door, opened once and never closed.

    Its plugin gives the thread that opens it a stack for signals, and takes it back when it closes: of two doors, the
    first to close leaves the thread without a stack, and the next signal ends the process.
    """
    return openvino.Core()
