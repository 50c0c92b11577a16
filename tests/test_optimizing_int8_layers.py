"""A graph with its dense layers in eight bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from forgeml.errors import ModelError
from small_classifiers import input_names, padded_batch, small_classifier

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from forgeml.optimizing.export import export_onnx  # noqa: E402
from forgeml.optimizing.int8_layers import write_int8  # noqa: E402
from forgeml.optimizing.onnx_int8 import BY_ROW  # noqa: E402


def products(path: Path) -> int:
    """Number of products of bytes."""
    return sum(node.op_type == "MatMulIntegerToFloat" for node in onnx.load(path).graph.node)


def test_the_worst_layers_can_stay_in_fp32(tmp_path: Path) -> None:
    """A share of the inputs keeps its layers as they were."""
    model, inputs = small_classifier("bert"), input_names("bert")
    export_onnx(model, inputs, tmp_path / "fp32.onnx")
    calibration = [padded_batch(model, inputs, (8, 12))]
    write_int8(tmp_path / "fp32.onnx", tmp_path / "all.onnx", calibration, BY_ROW)
    write_int8(tmp_path / "fp32.onnx", tmp_path / "half.onnx", calibration, replace(BY_ROW, left_out=0.5))
    assert products(tmp_path / "all.onnx") == 12
    assert 4 <= products(tmp_path / "half.onnx") < 12


def test_a_graph_without_layers_is_said(tmp_path: Path) -> None:
    """Where there is nothing to put into eight bits the error says so."""
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 3])
    result = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", 3])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["logits"])], "none", [value], [result])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "model.onnx")
    model = small_classifier("bert")
    with pytest.raises(ModelError, match="no layers that could be in eight bits"):
        write_int8(
            tmp_path / "model.onnx", tmp_path / "int8.onnx", [padded_batch(model, ["input_ids"], (1, 2))], BY_ROW
        )
