"""A classifier as an ONNX file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from forgeml.errors import ModelError
from small_classifiers import SETTINGS, input_names, padded_batch, small_classifier, torch_logits

pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from forgeml.optimizing.export import export_onnx  # noqa: E402

SHAPES = [(1, 1), (1, 5), (2, 1), (3, 7), (5, 33), (1, 60)]


@pytest.mark.parametrize("architecture", SETTINGS)
def test_logits_are_those_of_torch(architecture: str, tmp_path: Path) -> None:
    """Whatever the architecture, the number of texts and their length, one token included."""
    model, inputs = small_classifier(architecture), input_names(architecture)
    export_onnx(model, inputs, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == list(inputs)
    assert {value.type for value in session.get_inputs()} == {"tensor(int64)"}
    for shape in SHAPES:
        batch = padded_batch(model, inputs, shape)
        (logits,) = session.run(["logits"], batch)
        np.testing.assert_allclose(logits, torch_logits(model, batch), atol=1e-5)


def test_one_file_the_same_every_time(tmp_path: Path) -> None:
    """Nothing else is left in the folder, and a second export writes the same bytes."""
    model = small_classifier("bert")
    hashes = set()
    for name in ("first.onnx", "second.onnx"):
        export_onnx(model, input_names("bert"), tmp_path / name)
        hashes.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.onnx", "second.onnx"]
    assert len(hashes) == 1


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_came(training: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Mode and attention are as before, and nothing is printed."""
    model = small_classifier("bert").train(training)
    model.bert.embeddings.eval()
    modes = [module.training for module in model.modules()]
    attention = model.config._attn_implementation
    export_onnx(model, input_names("bert"), tmp_path / "model.onnx")
    assert [module.training for module in model.modules()] == modes
    assert model.config._attn_implementation == attention == "sdpa"
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_exported_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that ONNX does not have is an error of the model, and no half file is left."""
    model = small_classifier("bert")
    pooler = model.bert.pooler
    forward = pooler.forward
    monkeypatch.setattr(pooler, "forward", lambda hidden: forward(hidden.to_sparse().to_dense()))
    with pytest.raises(ModelError, match="model type bert: cannot be written as ONNX"):
        export_onnx(model, input_names("bert"), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
