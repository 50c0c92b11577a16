"""A classifier's ONNX file as the two files of OpenVINO, in fp32 or in eight bits."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import openvino
from onnx import helper

from forgeml.errors import ModelError
from forgeml.optimizing.dense_layers import Inputs
from forgeml.optimizing.int8_layers import Graph, Layer, Method, scaled, write_int8
from forgeml.optimizing.rounding import byte_range, round_by_range


def convert(onnx_file: Path, target: Path) -> None:
    """Write the ONNX file as `target`, which ends in .xml, and the weights beside it in .bin, all in fp32.

    Raises:
        ModelError: OpenVINO does not know an operator of the file.
    """
    try:
        model = openvino.convert_model(onnx_file)
    except RuntimeError as error:
        what = f"OpenVINO cannot read the model: {str(error).strip().splitlines()[-1]}"
        raise ModelError.at(onnx_file.name, what, "use the ONNX file with ONNX Runtime") from error
    openvino.save_model(model, target, compress_to_fp16=False)


def quantize(onnx_file: Path, target: Path, calibration: Sequence[Inputs]) -> None:
    """Write the classifier with its dense layers in eight bits as `target`, which ends in .xml, and .bin.

    The range of what comes into a layer is fixed by the calibration texts, so that a text's answer does not depend
    on the texts beside it. Head, pooler, embeddings and attention scores stay in fp32.

    Args:
        onnx_file: the ONNX file in fp32.
        target: the file to write.
        calibration: batches of inputs by name, each of shape (texts, tokens), of texts of the training data.

    Raises:
        ModelError: the graph has no dense layers to be found, or an operator that OpenVINO does not know.
        ValueError: no calibration texts.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        between = Path(folder) / onnx_file.name
        write_int8(onnx_file, between, calibration, BY_RANGE)
        convert(between, target)


def _by_range(graph: Graph, layer: Layer, own: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Round and take back: the runtime sees that the product in between can be one of bytes."""
    nodes: list[onnx.NodeProto] = []
    name = layer.input
    step, middle = byte_range(layer.low, layer.high)
    tokens = scaled(graph, layer, nodes)
    scale = graph.constant(f"{name}_scale", np.float32(step))
    zero = graph.constant(f"{name}_zero", np.uint8(middle))
    nodes += [
        helper.make_node("QuantizeLinear", [tokens, scale, zero], [f"{name}_bytes"]),
        helper.make_node("DequantizeLinear", [f"{name}_bytes", scale, zero], [f"{name}_rounded"]),
    ]
    for node in own:
        rounded, scales = layer.weights[node.input[1]]
        weights = graph.constant(f"{node.input[1]}_bytes", rounded)
        outputs = graph.constant(f"{node.input[1]}_scales", scales)
        zeros = graph.constant(f"{node.input[1]}_zeros", np.zeros(len(scales), np.int8))
        result = node.output[0]
        nodes += [
            helper.make_node("DequantizeLinear", [weights, outputs, zeros], [f"{result}_weights"], axis=1),
            helper.make_node("MatMul", [f"{name}_rounded", f"{result}_weights"], [result]),
        ]
    return nodes


BY_RANGE = Method(round_by_range, _by_range, left_out=1 / 12)
"""With one range for all tokens the few layers with outliers would carry most of the error."""
