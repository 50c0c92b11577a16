"""The dense layers of a classifier's ONNX graph, and what comes into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

Inputs = Mapping[str, NDArray[np.int64]]
Floats = NDArray[np.float32]

MOST_ROWS = 4096
"""Tokens that a layer is measured on."""


@dataclass(frozen=True)
class Group:
    """Layers that are to be scaled alike, as they share what comes in, or their weights."""

    inputs: tuple[str, ...]
    """Names of the values that come in; several where a model uses the same layer again."""
    weights: tuple[str, ...]
    """Names of the initializers, each of shape (channels, outputs)."""


def dense_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Products of all tokens with a constant matrix; head and pooler, small and decisive, are not among them."""
    matrices = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == 2}
    classes = graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    return [
        node
        for node in graph.node
        # Head and pooler see one token a text, which makes them Gemm nodes, or are as wide as there are classes.
        if node.op_type == "MatMul" and node.input[1] in matrices and matrices[node.input[1]].dims[1] != classes
    ]


def groups(nodes: Sequence[onnx.NodeProto]) -> list[Group]:
    """The layers put together that share an input or weights, directly or through others."""
    found: list[tuple[list[str], list[str]]] = []
    for node in nodes:
        value, weights = node.input[:2]
        same = [group for group in found if value in group[0] or weights in group[1]]
        merged = (
            list(dict.fromkeys([name for group in same for name in group[0]] + [value])),
            list(dict.fromkeys([name for group in same for name in group[1]] + [weights])),
        )
        found = [group for group in found if group not in same] + [merged]
    return [Group(tuple(inputs), tuple(weights)) for inputs, weights in found]


def initializers(graph: onnx.GraphProto, folder: Path, names: Sequence[str]) -> dict[str, Floats]:
    """Values by name, read from beside the file where they are large."""
    wanted = set(names)
    return {
        tensor.name: np.asarray(numpy_helper.to_array(tensor, str(folder)))
        for tensor in graph.initializer
        if tensor.name in wanted
    }


def record(source: Path, names: Sequence[str], calibration: Sequence[Inputs]) -> dict[str, Floats]:
    """What has these names inside the graph while it reads the texts, padding left out; shape (tokens, channels).

    Args:
        source: the ONNX file.
        names: of values of shape (batch, length, channels).
        calibration: batches of inputs by name.
    """
    model = onnx.load(source, load_external_data=False)
    session = _session(source, model, names)
    rows: dict[str, list[Floats]] = {name: [] for name in names}
    share = -(-MOST_ROWS // len(calibration))
    for batch in calibration:
        values = session.run(list(names), dict(batch))
        mask = batch["attention_mask"].astype(bool)
        for name, value in zip(names, values, strict=True):
            tokens = value[mask] if value.shape[:2] == mask.shape else value.reshape(-1, value.shape[-1])
            rows[name].append(tokens[:: -(-len(tokens) // share)].copy())
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def _session(source: Path, model: onnx.ModelProto, names: Sequence[str]) -> onnxruntime.InferenceSession:
    """The graph with these values as outputs too."""
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(source.parent))
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
