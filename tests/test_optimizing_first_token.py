"""What the head does not read is not computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from small_classifiers import input_names, padded_batch, small_classifier

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from forgeml.optimizing import export  # noqa: E402
from forgeml.optimizing.first_token import keep_first_token  # noqa: E402

READ_ONE_TOKEN = ("bert", "roberta", "distilbert", "albert", "electra")


def exported(architecture: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> onnx.ModelProto:
    """The file before anything is left out of it."""
    monkeypatch.setattr(export, "keep_first_token", lambda model: None)
    export.export_onnx(small_classifier(architecture), input_names(architecture), path)
    return onnx.load(path)


def dense_rows(model: onnx.ModelProto, batch: dict[str, np.ndarray]) -> list[int]:
    """Tokens of a text that each product with a constant matrix works on, in the order of the graph."""
    constant = {tensor.name for tensor in model.graph.initializer}
    names = [node.output[0] for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in constant]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [value.shape[1] for value in session.run(names, batch) if value.ndim == 3]


@pytest.mark.parametrize("architecture", READ_ONE_TOKEN)
def test_last_layer_works_on_one_token(architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for its keys and values, and the logits are the same; the layers before it are as they were."""
    model = exported(architecture, tmp_path / "model.onnx", monkeypatch)
    batch = padded_batch(small_classifier(architecture), input_names(architecture), (3, 9))
    sessions = [onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])]
    assert keep_first_token(model)
    onnx.checker.check_model(model, full_check=True)
    sessions.append(onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]))
    before, after = (session.run(["logits"], batch)[0] for session in sessions)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6)
    rows = dense_rows(model, batch)
    assert sorted(rows[-6:]) == [1, 1, 1, 1, 9, 9]
    assert set(rows[:-6]) == {9}


def test_head_that_reads_another_token_keeps_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder answers by the last token of each text, which is at another place in each."""
    model = exported("llama", tmp_path / "model.onnx", monkeypatch)
    before = model.SerializeToString()
    assert not keep_first_token(model)
    assert model.SerializeToString() == before


def test_graph_inside_of_a_node_is_left_alone() -> None:
    """It may read values that are not among the node's inputs."""
    value = onnx.helper.make_tensor_value_info
    inner = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["x"], ["y"])], "inner", [], [value("y", onnx.TensorProto.FLOAT, None)]
    )
    node = onnx.helper.make_node("If", ["c"], ["logits"], then_branch=inner, else_branch=inner)
    inputs = [value("c", onnx.TensorProto.BOOL, []), value("x", onnx.TensorProto.FLOAT, [1, 2, 3])]
    graph = onnx.helper.make_graph([node], "outer", inputs, [value("logits", onnx.TensorProto.FLOAT, None)])
    assert not keep_first_token(onnx.helper.make_model(graph))
