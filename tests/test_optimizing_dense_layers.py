"""The dense layers of a graph, and what comes into them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from small_classifiers import input_names, padded_batch, small_classifier

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from forgeml.optimizing.dense_layers import MOST_ROWS, dense_nodes, groups, initializers, record  # noqa: E402
from forgeml.optimizing.export import export_onnx  # noqa: E402


@pytest.mark.parametrize(("architecture", "layers", "sets"), [("bert", 12, 9), ("albert", 13, 5), ("llama", 14, 8)])
def test_layers_are_found(architecture: str, layers: int, sets: int, tmp_path: Path) -> None:
    """Head and pooler are left out; what shares an input or weights is together."""
    model = small_classifier(architecture)
    export_onnx(model, input_names(architecture), tmp_path / "model.onnx")
    found = dense_nodes(onnx.load(tmp_path / "model.onnx").graph)
    together = groups(found)
    assert (len(found), len(together)) == (layers, sets)
    assert {name for group in together for name in group.inputs} == {node.input[0] for node in found}


def test_what_comes_in_is_recorded_without_padding(tmp_path: Path) -> None:
    """A row for each token that is not padding, with no more rows than are needed."""
    model, inputs = small_classifier("bert"), input_names("bert")
    export_onnx(model, inputs, tmp_path / "model.onnx")
    graph = onnx.load(tmp_path / "model.onnx").graph
    first = groups(dense_nodes(graph))[0]
    batches = [padded_batch(model, inputs, (3, 7)), padded_batch(model, inputs, (2, 9))]
    rows = record(tmp_path / "model.onnx", first.inputs, batches)[first.inputs[0]]
    assert rows.shape == (sum(int(batch["attention_mask"].sum()) for batch in batches), 32)
    many = [padded_batch(model, inputs, (64, 60), seed) for seed in range(4)]
    assert len(record(tmp_path / "model.onnx", first.inputs, many)[first.inputs[0]]) <= MOST_ROWS
    weights = initializers(graph, tmp_path, first.weights)
    assert {value.shape for value in weights.values()} == {(32, 32)}
    assert all(value.dtype == np.float32 for value in weights.values())
