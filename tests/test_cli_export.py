"""`forgeml export`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import forgeml

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")


def test_file_is_written_and_checked(trained: Path) -> None:
    """What was written, what it takes, and how far its answers are from those of the model."""
    answer = forgeml("export", str(trained / "best_model"), "--to", "onnx")
    assert answer.returncode == 0, answer.stderr
    assert "best_model.onnx" in answer.stdout
    assert "input_ids, attention_mask, token_type_ids" in answer.stdout
    assert Path("best_model.onnx").is_file()


def test_json(trained: Path) -> None:
    """One document."""
    answer = forgeml("export", str(trained / "best_model"), "--to", "openvino", "-o", "served.xml", "--json")
    found = json.loads(answer.stdout)
    assert found["files"] == ["served.xml", "served.bin"]
    assert found["largest_difference"] < 1e-5


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["model", "--to", "tensorrt"], 2, "choose one of onnx, openvino"),
        (["absent", "--to", "onnx"], 4, "no such folder"),
        (["model", "--to", "onnx", "-o", "model.pt"], 2, "is no file that ends in .onnx"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], code: int, says: str) -> None:
    """With what to do, and without a traceback."""
    answer = forgeml("export", *arguments)
    assert (answer.returncode, says in answer.stderr) == (code, True), answer.stderr
    assert "Traceback" not in answer.stderr
