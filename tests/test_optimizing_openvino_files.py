"""A classifier as the two files of OpenVINO."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from small_classifiers import Inputs, input_names, padded_batch, small_classifier, torch_logits

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("openvino", reason="openvino is not installed")

from forgeml.inference.openvino_engine import core
from forgeml.optimizing.export import export_onnx
from forgeml.optimizing.openvino_files import convert, quantize

SHAPES = [(1, 1), (1, 5), (2, 1), (3, 7), (5, 33)]


def answer(path: Path, batch: Inputs) -> NDArray[np.float32]:
    """Logits of a file, computed in fp32 where it is not in eight bits."""
    compiled = core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled(batch)["logits"])


@pytest.mark.parametrize("architecture", ["bert", "albert", "roberta", "distilbert", "electra", "mpnet"])
def test_logits_are_those_of_torch(architecture: str, tmp_path: Path) -> None:
    """The converted files answer as the model does, for one token and one text too; the names are kept."""
    model, inputs = small_classifier(architecture), input_names(architecture)
    export_onnx(model, inputs, tmp_path / "model.onnx")
    convert(tmp_path / "model.onnx", tmp_path / "model.xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.bin", "model.onnx", "model.xml"]
    for shape in SHAPES:
        batch = padded_batch(model, inputs, shape)
        np.testing.assert_allclose(answer(tmp_path / "model.xml", batch), torch_logits(model, batch), atol=1e-5)


@pytest.mark.parametrize("architecture", ["bert", "albert", "roberta"])
def test_eight_bits_stay_close(architecture: str, tmp_path: Path) -> None:
    """Eight bits move the logits by a tenth of their spread at most, and leave no file but the two."""
    model, inputs = small_classifier(architecture), input_names(architecture)
    export_onnx(model, inputs, tmp_path / "model.onnx")
    calibration = [padded_batch(model, inputs, (8, length), seed=1) for length in (12, 30)]
    quantize(tmp_path / "model.onnx", tmp_path / "int8.xml", calibration)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["int8.bin", "int8.xml", "model.onnx"]
    batch = padded_batch(model, inputs, (16, 20))
    wanted = torch_logits(model, batch)
    assert 0 < np.abs(answer(tmp_path / "int8.xml", batch) - wanted).mean() < 0.1 * wanted.std()
