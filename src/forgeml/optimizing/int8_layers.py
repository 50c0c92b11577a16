"""What the dense layers of a graph are in eight bits, and the graph with them put in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from forgeml.errors import ModelError
from forgeml.optimizing.dense_layers import Floats, Group, Inputs, dense_nodes, groups, initializers, record
from forgeml.optimizing.rounding import SEARCH_ROWS, RoundRows, relative_error, round_weights, smoothing

AT_A_TIME = 12
"""Values that are recorded in one reading of the texts: memory against time."""

LARGEST_FILE = 2**31 - 2**24
"""Above this the weights of a file lie beside it, as its format cannot hold them."""


@dataclass(frozen=True)
class Layer:
    """One input of dense layers, and those layers, in eight bits."""

    input: str
    """Name of the value that comes in."""
    factors: Floats
    """What its channels are multiplied with before they are rounded, shape (channels,)."""
    low: float
    """Smallest value after that, for the sample texts."""
    high: float
    """Largest one."""
    weights: dict[str, tuple[NDArray[np.int8], Floats]]
    """Bytes of shape (channels, outputs), and the scale of each output, by the name of the weights in fp32."""
    error: float
    """Mean square of what rounding changes in the outputs, as a share of their own for the sample texts."""


Rewrite = Callable[["Graph", Layer, Sequence[onnx.NodeProto]], list[onnx.NodeProto]]


class Graph:
    """An ONNX graph under construction."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Hold the model; it is changed in place."""
        self.model = model
        self._known = {tensor.name for tensor in model.graph.initializer}

    def constant(self, name: str, value: NDArray[Any] | np.generic) -> str:
        """Add a constant once, and give back its name."""
        if name not in self._known:
            self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
            self._known.add(name)
        return name

    def replace(self, nodes: Iterable[onnx.NodeProto]) -> None:
        """Take these nodes instead of the present ones, and only what they use of the constants."""
        graph = self.model.graph
        fresh = list(nodes)
        used = {name for node in fresh for name in node.input} | {value.name for value in graph.output}
        kept = [tensor for tensor in graph.initializer if tensor.name in used]
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(fresh)
        graph.initializer.extend(kept)


@dataclass(frozen=True)
class Method:
    """How what comes into the layers becomes bytes."""

    round_rows: RoundRows
    """The effect, on values of shape (tokens, channels)."""
    rewrite: Rewrite
    """The nodes for all the layers of one input, in place of those given."""
    left_out: float
    """Share of the inputs whose layers stay in fp32: those with the largest errors."""


def write_int8(source: Path, target: Path, calibration: Sequence[Inputs], method: Method) -> None:
    """Write the graph with its dense layers in eight bits.

    Args:
        source: the ONNX file in fp32.
        target: the file to write.
        calibration: batches of inputs by name, of texts like those that will come.
        method: how values become bytes.

    Raises:
        ModelError: the graph has no dense layers to be found.
        ValueError: no calibration texts.
    """
    if not calibration:
        raise ValueError("no calibration texts")
    model = onnx.load(source)
    found = dense_nodes(model.graph)
    if not found:
        raise ModelError.at(source.name, "no layers that could be in eight bits", "use the file in fp32")
    graph = Graph(model)
    layers = sorted(_layers(source, model.graph, found, calibration, method.round_rows), key=attrgetter("error"))
    fresh, replaced = {}, set()
    for layer in layers[: len(layers) - int(len(layers) * method.left_out)]:
        own = [node for node in found if node.input[0] == layer.input]
        fresh[own[0].output[0]] = method.rewrite(graph, layer, own)
        replaced |= {node.output[0] for node in own}
    nodes: list[onnx.NodeProto] = []
    for node in list(model.graph.node):
        nodes += fresh.get(node.output[0], []) if node.output[0] in replaced else [node]
    graph.replace(nodes)
    large = model.ByteSize() > LARGEST_FILE
    onnx.save(model, target, save_as_external_data=large, location=f"{target.name}.data" if large else None)


def scaled(graph: Graph, layer: Layer, nodes: list[onnx.NodeProto]) -> str:
    """Name of the layer's input after its channels are multiplied with the factors; the node is appended."""
    if (layer.factors == 1).all():
        return layer.input
    factors = graph.constant(f"{layer.input}_factors", layer.factors)
    nodes.append(helper.make_node("Mul", [layer.input, factors], [f"{layer.input}_scaled"]))
    return f"{layer.input}_scaled"


def _layers(
    source: Path,
    graph: onnx.GraphProto,
    found: Sequence[onnx.NodeProto],
    calibration: Sequence[Inputs],
    round_rows: RoundRows,
) -> Iterable[Layer]:
    """All layers, a few groups at a time."""
    waiting = groups(found)
    while waiting:
        now = [waiting.pop(0)]
        while waiting and sum(len(group.inputs) for group in [*now, waiting[0]]) <= AT_A_TIME:
            now.append(waiting.pop(0))
        rows = record(source, [name for group in now for name in group.inputs], calibration)
        weights = initializers(graph, source.parent, [name for group in now for name in group.weights])
        for group in now:
            yield from _rounded(group, rows, weights, found, round_rows)


def _rounded(
    group: Group,
    rows: dict[str, Floats],
    weights: dict[str, Floats],
    found: Sequence[onnx.NodeProto],
    round_rows: RoundRows,
) -> Iterable[Layer]:
    """The layers of one group."""
    # A layer used several times hands its share of rows from each use.
    together = np.concatenate([rows[name][:: len(group.inputs)] for name in group.inputs])
    divisors = smoothing(together, np.concatenate([weights[name] for name in group.weights], axis=1), round_rows)
    scaled_rows: Floats = np.asarray(together / divisors, np.float32)
    bytes_of = {name: round_weights(weights[name] * divisors[:, None], scaled_rows) for name in group.weights}
    for name in group.inputs:
        used = {node.input[1] for node in found if node.input[0] == name}
        values = rows[name] / divisors
        own = {weight: bytes_of[weight] for weight in group.weights if weight in used}
        wanted = [rows[name][:SEARCH_ROWS] @ weights[weight] for weight in own]
        back = round_rows(values)[:SEARCH_ROWS]
        got = [back @ (steps * scales) for steps, scales in own.values()]
        error = relative_error(np.concatenate(got, axis=1), np.concatenate(wanted, axis=1))
        factors = (1 / divisors).astype(np.float32)
        yield Layer(name, factors, float(values.min()), float(values.max()), own, error)
