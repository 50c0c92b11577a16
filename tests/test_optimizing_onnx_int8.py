"""Eight bits for ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from small_classifiers import Inputs, input_names, padded_batch, small_classifier, torch_logits

pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from forgeml.optimizing.export import export_onnx  # noqa: E402
from forgeml.optimizing.onnx_int8 import quantize_onnx  # noqa: E402


def answer(path: Path, batch: Inputs) -> NDArray[np.float32]:
    """Logits of a file."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], batch)
    return logits


@pytest.mark.parametrize("architecture", ["bert", "albert", "roberta", "distilbert", "deberta-v2", "mpnet", "llama"])
def test_logits_stay_close(architecture: str, tmp_path: Path) -> None:
    """Eight bits move the logits by a few hundredths of their spread, also where layers share their weights."""
    model, inputs = small_classifier(architecture), input_names(architecture)
    export_onnx(model, inputs, tmp_path / "fp32.onnx")
    calibration = [padded_batch(model, inputs, (8, length), seed=1) for length in (12, 30)]
    quantize_onnx(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", calibration)
    batch = padded_batch(model, inputs, (16, 20))
    wanted = torch_logits(model, batch)
    got = answer(tmp_path / "int8.onnx", batch)
    assert np.abs(got - wanted).mean() < 0.05 * wanted.std()
    assert np.abs(got - wanted).max() > 0
    for shape in [(1, 1), (2, 1), (3, 33)]:
        assert np.isfinite(answer(tmp_path / "int8.onnx", padded_batch(model, inputs, shape))).all()


def test_a_text_does_not_depend_on_its_neighbours(tmp_path: Path) -> None:
    """Alone or beside others, a text has the same logits."""
    model, inputs = small_classifier("bert"), input_names("bert")
    export_onnx(model, inputs, tmp_path / "fp32.onnx")
    calibration = [padded_batch(model, inputs, (8, 12), seed=1)]
    quantize_onnx(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", calibration)
    batch = padded_batch(model, inputs, (6, 9))
    together = answer(tmp_path / "int8.onnx", batch)
    alone = answer(tmp_path / "int8.onnx", {name: values[2:3] for name, values in batch.items()})
    np.testing.assert_allclose(together[2:3], alone, atol=1e-4)


def test_smaller_the_same_every_time_and_alone(tmp_path: Path) -> None:
    """The file is smaller, a second one has the same bytes, and nothing else is left in the folder."""
    model, inputs = small_classifier("bert"), input_names("bert")
    export_onnx(model, inputs, tmp_path / "fp32.onnx")
    calibration = [padded_batch(model, inputs, (8, 12), seed=1)]
    for name in ("a.onnx", "b.onnx"):
        quantize_onnx(tmp_path / "fp32.onnx", tmp_path / name, calibration)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "b.onnx", "fp32.onnx"]
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert (tmp_path / "a.onnx").stat().st_size < (tmp_path / "fp32.onnx").stat().st_size


def test_without_texts_it_cannot_be_done(tmp_path: Path) -> None:
    """No calibration texts are an error, not a file that answers nonsense."""
    model, inputs = small_classifier("bert"), input_names("bert")
    export_onnx(model, inputs, tmp_path / "fp32.onnx")
    with pytest.raises(ValueError, match="no calibration texts"):
        quantize_onnx(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", [])
