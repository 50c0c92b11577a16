"""Eight bits for ONNX Runtime: weights rounded beforehand, what comes in rounded token by token.

As each token has a scale of its own, a text's answer does not depend on the texts beside it in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from forgeml.optimizing.dense_layers import Inputs
from forgeml.optimizing.int8_layers import Graph, Layer, Method, scaled, write_int8
from forgeml.optimizing.rounding import MOST, round_by_row

RUNTIME_DOMAIN = "com.microsoft"
"""Where ONNX Runtime keeps operators of its own."""


def quantize_onnx(source: Path, target: Path, calibration: Sequence[Inputs]) -> None:
    """Write the classifier with its dense layers in eight bits, for ONNX Runtime on a CPU.

    Head, pooler, embeddings and attention scores stay in fp32. Needs a CPU with instructions for products of bytes
    (VNNI or dot product) to be exact: older ones saturate.

    Args:
        source: the ONNX file in fp32.
        target: the file to write.
        calibration: batches of inputs by name, each of shape (texts, tokens), of texts of the training data.

    Raises:
        ModelError: the graph has no dense layers to be found.
        ValueError: no calibration texts.
    """
    write_int8(source, target, calibration, BY_ROW)


def _by_row(graph: Graph, layer: Layer, own: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Round the tokens, multiply bytes, and give each token its scale back."""
    if not any(opset.domain == RUNTIME_DOMAIN for opset in graph.model.opset_import):
        graph.model.opset_import.append(helper.make_opsetid(RUNTIME_DOMAIN, 1))
    nodes: list[onnx.NodeProto] = []
    name = layer.input
    tokens = scaled(graph, layer, nodes)
    one = graph.constant("one", np.float32(1))
    middle = graph.constant("middle_of_byte", np.uint8(128))
    # Small enough to be no scale of a real token, large enough to be divided by.
    least = graph.constant("least_scale", np.float32(1e-12))
    steps = graph.constant("steps", np.float32(MOST))
    nodes += [
        helper.make_node("Abs", [tokens], [f"{name}_sizes"]),
        helper.make_node("ReduceMax", [f"{name}_sizes"], [f"{name}_largest"], axes=[-1], keepdims=1),
        helper.make_node("Max", [f"{name}_largest", least], [f"{name}_reach"]),
        helper.make_node("Div", [steps, f"{name}_reach"], [f"{name}_inverse"]),
        helper.make_node("Div", [f"{name}_reach", steps], [f"{name}_scale"]),
        helper.make_node("Mul", [tokens, f"{name}_inverse"], [f"{name}_steps"]),
        helper.make_node("QuantizeLinear", [f"{name}_steps", one, middle], [f"{name}_bytes"]),
    ]
    for node in own:
        rounded, scales = layer.weights[node.input[1]]
        weights = graph.constant(f"{node.input[1]}_bytes", rounded)
        outputs = graph.constant(f"{node.input[1]}_scales", scales)
        result = node.output[0]
        operands = [f"{name}_bytes", weights, one, outputs, middle]
        nodes += [
            helper.make_node("MatMulIntegerToFloat", operands, [f"{result}_unscaled"], domain=RUNTIME_DOMAIN),
            helper.make_node("Mul", [f"{result}_unscaled", f"{name}_scale"], [result]),
        ]
    return nodes


BY_ROW = Method(round_by_row, _by_row, left_out=0)
