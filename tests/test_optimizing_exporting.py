"""A saved model as a file for other tools."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engines_made import INPUTS
from forgeml.errors import ConfigError, MachineError, ModelError
from forgeml.inference.classifier import Classifier
from forgeml.optimizing import exporting
from forgeml.optimizing.exporting import export

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")
pytest.importorskip("onnx")


def expected(folder: Path) -> np.ndarray:
    """What torch gives for the inputs."""
    import torch

    from forgeml.model.saved import open_saved

    model, _, _ = open_saved(folder, "cpu")
    with torch.inference_mode():
        return model(**{name: torch.from_numpy(values) for name, values in INPUTS.items()}).logits.numpy()


def test_onnx_file_runs_elsewhere(trained: Path, tmp_path: Path) -> None:
    """Its name is the folder's; ONNX Runtime gives the logits of the model, and nothing else is left behind."""
    found = export(str(trained / "best_model"), "onnx", None, overwrite=False)
    assert (found.files, found.inputs) == (["best_model.onnx"], list(INPUTS))
    assert found.difference < 1e-5
    session = onnxruntime.InferenceSession("best_model.onnx", providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], INPUTS)[0]
    np.testing.assert_allclose(logits, expected(trained / "best_model"), rtol=0, atol=1e-5)
    assert os.listdir(tmp_path) == ["best_model.onnx"]


def test_openvino_files_run_elsewhere(trained: Path, tmp_path: Path) -> None:
    """Description and weights lie beside each other under the name that was asked for."""
    found = export(str(trained / "best_model"), "openvino", "served.xml", overwrite=False)
    assert found.files == ["served.xml", "served.bin"]
    from forgeml.inference.openvino_engine import core

    compiled = core().compile_model("served.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(compiled(INPUTS)["logits"], expected(trained / "best_model"), rtol=0, atol=1e-5)
    assert sorted(os.listdir(tmp_path)) == ["served.bin", "served.xml"]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("model.bin", "is no file that ends in .onnx"),
        ("absent/model.onnx", "no folder absent"),
        ("here.onnx", "is there already"),
    ],
)
def test_output_that_cannot_be_meant_is_refused(trained: Path, output: str, says: str) -> None:
    """Before the model is opened."""
    Path("here.onnx").write_text("mine")
    with pytest.raises(ConfigError, match=says):
        export(str(trained / "best_model"), "onnx", output, overwrite=False)
    assert Path("here.onnx").read_text() == "mine"


def test_folder_and_companion_are_not_written_over(trained: Path) -> None:
    """A folder is no file, and the weights beside a description are a file as well."""
    Path("served.bin").write_text("mine")
    with pytest.raises(ConfigError, match=r"served\.bin is there already"):
        export(str(trained / "best_model"), "openvino", "served.xml", overwrite=False)
    for folder in (".", "dir.onnx"):
        Path(folder).mkdir(exist_ok=True)
        with pytest.raises(ConfigError, match="is no file that ends in"):
            export(str(trained / "best_model"), "onnx", folder, overwrite=True)


def test_file_is_replaced_when_asked(trained: Path) -> None:
    """With the word for it."""
    Path("here.onnx").write_text("mine")
    assert export(str(trained / "best_model"), "onnx", "here.onnx", overwrite=True).files == ["here.onnx"]
    assert Path("here.onnx").stat().st_size > 1000


def test_wrong_file_is_not_put_in_its_place(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file whose answers differ from those of the model is an error and is gone."""
    monkeypatch.setattr(exporting, "_difference", lambda *arguments: float("nan"))
    with pytest.raises(ModelError, match="differs from the model by nan"):
        export(str(trained / "best_model"), "onnx", None, overwrite=False)
    assert os.listdir(tmp_path) == []


def test_absent_package_is_named(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs it."""
    monkeypatch.setattr(exporting, "lacks", lambda name: "pip install 'forgeml[optimize]'")
    with pytest.raises(MachineError, match="openvino cannot be written here") as caught:
        export(str(trained / "best_model"), "openvino", None, overwrite=False)
    assert "forgeml[optimize]" in caught.value.problems[0].fix


def test_what_is_exported_has_the_scores(trained: Path) -> None:
    """The folder itself is not changed by it."""
    before = sorted(os.listdir(trained / "best_model"))
    export(str(trained / "best_model"), "onnx", None, overwrite=False)
    assert sorted(os.listdir(trained / "best_model")) == before
    assert Classifier.from_pretrained(trained / "best_model", "cpu").predict(["good"])[0].label == "pos"
