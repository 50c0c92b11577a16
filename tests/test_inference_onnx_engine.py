"""A saved model run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines_made import INPUTS
from forgeml.inference.optimized import Loaded

pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")


def test_file_says_what_it_takes(engines: Path) -> None:
    """Inputs by name; any number of texts and tokens."""
    from forgeml.inference.onnx_engine import load

    loaded: Loaded = load(engines / "onnx" / "model.onnx", "fp32")
    assert loaded.inputs == ("input_ids", "attention_mask", "token_type_ids")
    assert loaded.run(INPUTS).shape == (1, 2)
    many = {name: np.repeat(np.repeat(values, 3, axis=0), 5, axis=1) for name, values in INPUTS.items()}
    assert loaded.run(many).dtype == np.float32
    assert loaded.run(many).shape == (3, 2)
