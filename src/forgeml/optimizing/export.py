"""A classifier as an ONNX file."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import torch

from forgeml.errors import ModelError, first_line
from forgeml.optimizing.first_token import keep_first_token
from forgeml.optimizing.int8_layers import LARGEST_FILE

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OPSET = 17
"""The oldest set of operators with layer normalisation as one of them; every runtime reads it."""

SAMPLE = (2, 8)
"""Texts and tokens of the batch that is traced: neither is 1, which would be taken for a constant."""


class _Logits(torch.nn.Module):
    """A classifier as a function of tensors by place, which is what the tracer follows."""

    def __init__(self, model: PreTrainedModel, inputs: Sequence[str]) -> None:
        """Hold the model and the names of its inputs."""
        super().__init__()
        self.model = model
        self.inputs = tuple(inputs)

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        """Logits, shape (texts, outputs)."""
        logits: torch.Tensor = self.model(**dict(zip(self.inputs, values, strict=True))).logits
        return logits


def export_onnx(model: PreTrainedModel, inputs: Sequence[str], path: Path) -> None:
    """Write the model as one ONNX file of standard operators in fp32, for any number of texts and tokens from 1 on.

    The file's inputs are int64 of shape (batch, length) under the names given; its output is `logits`, shape (batch,
    outputs). The model is left in the mode and with the attention in which it came.

    Args:
        model: a classifier in fp32 on the CPU.
        inputs: what it takes, `input_ids` and `attention_mask` at least.
        path: the file to write.

    Raises:
        ModelError: the architecture computes something that ONNX has no operator for, or is too large for one file.
    """
    axes = {name: {0: "batch", 1: "length"} for name in inputs} | {"logits": {0: "batch"}}
    # Built without a mode of its own: taking it would put the model, which is inside, into the same.
    if sum(weight.nbytes for weight in model.parameters()) > LARGEST_FILE:
        what = f"its weights take more than {LARGEST_FILE / 1e9:.1f} GB, which one ONNX file cannot hold"
        raise ModelError.at(f"model type {model.config.model_type}", what, "use the saved model as it is")
    traced = _Logits(model, inputs)
    traced.training = model.training
    try:
        with _for_tracing(model), _silence(), torch.no_grad():
            torch.onnx.export(
                traced,
                _sample(model, inputs),
                str(path),
                input_names=list(inputs),
                output_names=["logits"],
                dynamic_axes=axes,
                opset_version=OPSET,
                # The exporter by tracing: a few tenths of a second instead of many, and no further packages.
                dynamo=False,
            )
    except (RuntimeError, TypeError, ValueError, LookupError, NotImplementedError, AttributeError) as error:
        path.unlink(missing_ok=True)
        raise ModelError.at(
            f"model type {model.config.model_type}",
            f"cannot be written as ONNX: {first_line(error)}",
            "use the saved model as it is, or train another architecture, such as BERT or RoBERTa",
        ) from error
    _trim(path)


def _trim(path: Path) -> None:
    """Take out of the file what its logits do not depend on."""
    written = onnx.load(path)
    _name_weights(written.graph)
    keep_first_token(written)
    onnx.save(written, path)


def _name_weights(graph: onnx.GraphProto) -> None:
    """Have nodes read weights by their own name: those that are equal are written once, with copies for the others."""
    weights = {tensor.name for tensor in graph.initializer}
    copies = {
        node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity" and node.input[0] in weights
    }
    kept = [node for node in graph.node if not copies.keys() & set(node.output)]
    for node in kept:
        node.input[:] = [copies.get(name, name) for name in node.input]
    del graph.node[:]
    graph.node.extend(kept)


def _sample(model: PreTrainedModel, inputs: Sequence[str]) -> tuple[torch.Tensor, ...]:
    """A batch with some padding, so that no mask is taken for a constant."""
    tokens = torch.ones(SAMPLE, dtype=torch.int64)
    pad = model.config.pad_token_id or 0
    if pad == 1:
        tokens += 1
    mask = torch.ones_like(tokens)
    tokens[1, -2:], mask[1, -2:] = pad, 0
    values = {"input_ids": tokens, "attention_mask": mask}
    return tuple(values.get(name, torch.zeros_like(tokens)) for name in inputs)


@contextmanager
def _for_tracing(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation, with attention written out: its mask is one addition, which runtimes recognise and fuse."""
    modes = [(module, module.training) for module in model.modules()]
    attention = model.config._attn_implementation
    model.train(mode=False)
    if attention == "sdpa":
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        if attention == "sdpa":
            model.set_attn_implementation(attention)
        for module, mode in modes:
            module.training = mode


@contextmanager
def _silence() -> Iterator[None]:
    """The tracer says at length that it traces, also where nothing depends on it."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
