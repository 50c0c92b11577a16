"""What the head does not read need not be computed: behind the last attention only the first token of each text counts.

Encoders classify by the first token. In the last layer all other tokens matter as keys and values alone, so that its
queries, its dense layers and its normalisation are worked out for one token instead of all. The logits stay the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

TOKENS = 1
"""Axis of the tokens in what comes out of a layer, shape (texts, tokens, channels)."""

UNARY = frozenset({"Erf", "Tanh", "Relu", "Sigmoid", "Gelu", "Sqrt", "Exp", "Cast", "Identity", "Softplus", "Neg"})
BINARY = frozenset({"Add", "Sub", "Mul", "Div", "Pow"})


@dataclass
class _Graph:
    """The graph, and what is to become of it."""

    graph: onnx.GraphProto
    makers: Mapping[str, onnx.NodeProto]
    """The node that gives each value."""
    constants: Mapping[str, np.ndarray]
    ranks: Mapping[str, int]
    """Of the values whose rank is known."""
    narrowed: dict[str, int] = field(default_factory=dict)
    """Values that are to be had for the first token alone, and the axis of their tokens."""
    shapes: dict[str, list[int]] = field(default_factory=dict)
    """New shapes, by the value that a Reshape gives."""


def keep_first_token(model: onnx.ModelProto) -> bool:
    """Have the graph work out no more of the last layer than its head reads; whether anything has changed.

    Args:
        model: of a classifier with values of shape (texts, tokens, channels); changed in place.
    """
    if any(one.type == onnx.AttributeProto.GRAPH for node in model.graph.node for one in node.attribute):
        # Graphs inside of nodes read values that are not among their inputs.
        return False
    graph = _read(model)
    uses = _uses(model.graph)
    for place, node in enumerate(model.graph.node):
        if node.op_type == "Gather" and _attribute(node, "axis", 0) == TOKENS and _is_first(graph, node.input[1]):
            return _narrow(graph, place, uses)
    return False


def _read(model: onnx.ModelProto) -> _Graph:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(_attribute(node, "value", None))
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in inferred.value_info}
    makers = {name: node for node in model.graph.node for name in node.output}
    return _Graph(model.graph, makers, constants, ranks)


def _narrow(graph: _Graph, pooling: int, uses: Mapping[str, list[tuple[int, int]]]) -> bool:
    """Go back from the head; a value is narrowed when all that read it need its first token only."""
    nodes = list(graph.graph.node)
    pooled = nodes[pooling].input[0]
    # Which inputs of which nodes are to be had for the first token alone: the place of the node, and of the input.
    wanted: dict[str, set[tuple[int, int]]] = defaultdict(set)
    axes: dict[str, int] = {pooled: TOKENS}
    wanted[pooled].add((pooling, 0))
    for number, node in reversed(list(enumerate(nodes))):
        value = node.output[0] if node.output else ""
        if value not in axes or set(uses[value]) != wanted[value]:
            continue
        inputs = _inputs(graph, node, axes[value])
        if not inputs or any(axes.get(node.input[place], axis) != axis for place, axis in inputs.items()):
            continue
        graph.narrowed[value] = axes[value]
        for place, axis in inputs.items():
            axes[node.input[place]] = axis
            wanted[node.input[place]].add((number, place))
    if not graph.narrowed:
        return False
    _rewrite(graph, wanted, axes)
    return True


def _inputs(graph: _Graph, node: onnx.NodeProto, axis: int) -> dict[int, int]:
    """The inputs of a node of which the first token is enough, and the axis of their tokens; empty if not known."""
    rule = RULES.get(node.op_type)
    return rule(graph, node, axis) if rule else {}


def _by_place(graph: _Graph, node: onnx.NodeProto, axis: int) -> dict[int, int]:
    """An operator that leaves every number in its place."""
    rank = graph.ranks.get(node.output[0])
    if node.op_type in ("LayerNormalization", "Softmax") and (
        _attribute(node, "axis", -1) != -1 or rank is None or axis == rank - 1
    ):
        return {}
    return {0: axis}


def _together(graph: _Graph, node: onnx.NodeProto, axis: int) -> dict[int, int]:
    """Numbers put together place by place: of all inputs that have a place for each token."""
    rank, found = graph.ranks.get(node.output[0]), {}
    for place, name in enumerate(node.input):
        if name in graph.constants:
            if graph.constants[name].ndim > 1 or rank is None or axis == rank - 1:
                return {}
        elif rank is None or graph.ranks.get(name) != rank:
            return {}
        else:
            found[place] = axis
    return found


def _product(graph: _Graph, node: onnx.NodeProto, axis: int) -> dict[int, int]:
    """Rows of the first matrix make rows of the product."""
    weights = graph.constants.get(node.input[1])
    rank = graph.ranks.get(node.output[0])
    rows = rank is not None and axis == rank - 2 and graph.ranks.get(node.input[0]) == rank
    return {0: axis} if rows and (weights is None or weights.ndim == 2) else {}


def _turned(graph: _Graph, node: onnx.NodeProto, axis: int) -> dict[int, int]:
    order = _attribute(node, "perm", None)
    return {0: int(order[axis])} if order else {}


def _heads(graph: _Graph, node: onnx.NodeProto, axis: int) -> dict[int, int]:
    """Channels taken apart into heads, or put together again: texts and tokens stay in their places."""
    asked = graph.makers.get(node.input[1])
    if axis != TOKENS or asked is None or asked.op_type != "Concat" or len(asked.input) not in (3, 4):
        return {}
    if [_size_asked(graph, name) for name in asked.input[:2]] != [0, TOKENS]:
        return {}
    rest = [graph.constants.get(name) for name in asked.input[2:]]
    if any(size is None or size.size != 1 for size in rest) or graph.ranks.get(node.input[0]) not in (3, 4):
        return {}
    # 0 is the size that there is.
    graph.shapes[node.output[0]] = [0, 1, *(int(size.item()) for size in rest if size is not None)]
    return {0: TOKENS}


def _size_asked(graph: _Graph, name: str) -> int | None:
    """Which size of some value of the layout of the layers this is; None if it is worked out in another way."""
    unsqueezed = graph.makers.get(name)
    picked = graph.makers.get(unsqueezed.input[0]) if unsqueezed and unsqueezed.op_type == "Unsqueeze" else None
    shape = graph.makers.get(picked.input[0]) if picked and picked.op_type == "Gather" else None
    if picked is None or shape is None or shape.op_type != "Shape" or graph.ranks.get(shape.input[0]) != TOKENS + 2:
        return None
    index = graph.constants.get(picked.input[1])
    return None if index is None else int(index)


Rule = Callable[[_Graph, onnx.NodeProto, int], dict[int, int]]

RULES: Mapping[str, Rule] = {
    **dict.fromkeys((*UNARY, "LayerNormalization", "Softmax"), _by_place),
    **dict.fromkeys(BINARY, _together),
    "MatMul": _product,
    "Transpose": _turned,
    "Reshape": _heads,
}
"""How far back the first token can be followed through each operator."""


def _rewrite(graph: _Graph, wanted: Mapping[str, set[tuple[int, int]]], axes: Mapping[str, int]) -> None:
    """Cut where narrowing begins, and give shapes their new size."""
    cut: dict[tuple[int, int], str] = {}
    nodes: list[onnx.NodeProto] = []
    made: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for value, edges in wanted.items():
        if value in graph.narrowed:
            continue
        name = f"{value}_first_token"
        numbers = {"start": 0, "stop": 1, "axis": axes[value]}
        for word, number in numbers.items():
            _constant(graph, f"{name}_{word}", [number])
        made[value].append(helper.make_node("Slice", [value, *(f"{name}_{word}" for word in numbers)], [name]))
        cut |= dict.fromkeys(edges, name)
    for place, node in enumerate(graph.graph.node):
        for number in range(len(node.input)):
            if (place, number) in cut:
                node.input[number] = cut[place, number]
        if node.output[0] in graph.narrowed and node.output[0] in graph.shapes:
            node.input[1] = _constant(graph, f"{node.output[0]}_shape", graph.shapes[node.output[0]])
        nodes += [node, *(new for value in node.output for new in made.pop(value, []))]
    fresh = [new for some in made.values() for new in some] + nodes
    del graph.graph.value_info[:], graph.graph.node[:]
    graph.graph.node.extend(_used(fresh, {value.name for value in graph.graph.output}))


def _used(nodes: list[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """The nodes that something depends on, in their order."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    return kept[::-1]


def _uses(graph: onnx.GraphProto) -> dict[str, list[tuple[int, int]]]:
    """Who reads each value: the place of the node, and of the input; what leaves the graph is read by nobody known."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, node in enumerate(graph.node):
        for number, name in enumerate(node.input):
            found[name].append((place, number))
    for value in graph.output:
        found[value.name].append((-1, -1))
    return found


def _constant(graph: _Graph, name: str, numbers: list[int]) -> str:
    graph.graph.initializer.append(numpy_helper.from_array(np.array(numbers, np.int64), name))
    return name


def _is_first(graph: _Graph, name: str) -> bool:
    index = graph.constants.get(name)
    return index is not None and index.ndim == 0 and int(index) == 0


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:  # noqa: ANN401 attributes are of all kinds
    return next((helper.get_attribute_value(one) for one in node.attribute if one.name == name), default)
