"""Whether a model can take packed batches: seen from what it answers, not from its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PretrainedConfig
from transformers.modeling_utils import PreTrainedModel

from forgeml.batch import Batch, PackedBatch
from forgeml.model.forward import batch_logits, packed_inputs
from forgeml.model.packed.attention import NAME, UnpackableError
from forgeml.model.packed.passing import Hooks

TRIED_LENGTHS = (3, 7, 150)
"""Tokens of the texts that are tried; one is long, so that attention to near tokens alone would show."""
AGREEMENT = 1e-3
"""Share of what logits differ from text to text by which both ways may differ; rounding makes it 1e-5."""
NOTHING = 1e-6
"""Where logits differ by less from text to text, nothing can be seen from them."""

REFUSALS = (UnpackableError, TypeError, ValueError, RuntimeError, LookupError, AttributeError)
"""What models say to arguments and shapes that they do not know."""


def pack(model: PreTrainedModel) -> Hooks | None:
    """Let a classifier take packed batches, if it gives the same logits for them as for padded ones.

    It must attend through the library's interface and classify by each text's first token. A tiny batch is tried both
    ways.

    Args:
        model: any sequence classifier, on the processor and in fp32.

    Returns:
        The hooks that are installed now; None if the model cannot, and is as it was.
    """
    before, training = model.config._attn_implementation, model.training
    model.train(mode=False)
    with torch.no_grad():
        hooks = _fitting_hooks(model)
    model.train(training)
    if hooks is None:
        model.set_attn_implementation(before)
    return hooks


def _fitting_hooks(model: PreTrainedModel) -> Hooks | None:
    texts = _random_texts(model.config.get_text_config())
    try:
        wanted = batch_logits(model, _padded(texts, _pad_id(model)), "cpu")
    except REFUSALS:
        return None
    spread = float((wanted - wanted.mean(0)).abs().max())
    model.set_attn_implementation(NAME)
    if model.config._attn_implementation != NAME or spread < NOTHING:
        return None
    for hooks in _candidates(model, _packed(texts)):
        hooks.install(model)
        try:
            found = batch_logits(model, _packed(texts), "cpu")
            if found.shape == wanted.shape and float((found - wanted).abs().max()) <= AGREEMENT * spread:
                return hooks
        except REFUSALS:
            pass
        hooks.remove()
    return None


def _candidates(model: PreTrainedModel, batch: PackedBatch) -> Iterator[Hooks]:
    """What might fit: the last block for first tokens alone or not, positions from 0 or from behind the padding id."""
    try:
        attentions, makers = _observe(model, batch)
        blocks = [_block_of(model, module) for module, _, _ in attentions]
    except REFUSALS:
        return
    _, *addresses = attentions[-1]
    layers = tuple(makers[address] for address in addresses if address in makers)
    key_and_value = (layers[0], layers[1]) if len(layers) == 2 else None
    for layers_used, first_position in product(dict.fromkeys((key_and_value, None)), (0, _pad_id(model) + 1)):
        yield Hooks(tuple(dict.fromkeys(blocks)), len(blocks), first_position, layers_used)


def _observe(
    model: PreTrainedModel, batch: PackedBatch
) -> tuple[list[tuple[torch.nn.Module, int, int]], dict[int, torch.nn.Module]]:
    """Each attention with the addresses of its keys and values, and which layer made the tensor at an address."""
    outputs: list[tuple[torch.nn.Module, torch.Tensor]] = []

    def note(module: torch.nn.Module, given: tuple[Any, ...], output: object) -> None:
        # Tensors that are kept share no address with later ones.
        if isinstance(output, torch.Tensor):
            outputs.append((module, output))

    handles = [module.register_forward_hook(note) for module in model.modules()]
    try:
        inputs = packed_inputs(batch, "cpu")
        model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return inputs["packing"].seen, {output.data_ptr(): module for module, output in outputs}


def _block_of(model: PreTrainedModel, attention: torch.nn.Module) -> torch.nn.Module:
    """The block that an attention belongs to: what stands in the innermost list around it."""
    parts = next(name for name, module in model.named_modules() if module is attention).split(".")
    for length in range(len(parts), 0, -1):
        if isinstance(model.get_submodule(".".join(parts[: length - 1])), torch.nn.ModuleList):
            return model.get_submodule(".".join(parts[:length]))
    raise LookupError("no list of blocks")


def _random_texts(config: PretrainedConfig) -> list[NDArray[np.int64]]:
    """Token ids, none of which is that of the padding, shorter texts first."""
    generator = np.random.default_rng(0)
    usable = np.delete(np.arange(config.vocab_size), config.pad_token_id or 0)
    most = (getattr(config, "max_position_embeddings", None) or max(TRIED_LENGTHS) * 2) // 2
    return [generator.choice(usable, min(length, most)) for length in TRIED_LENGTHS]


def _pad_id(model: PreTrainedModel) -> int:
    pad_id = model.config.get_text_config().pad_token_id
    return 0 if pad_id is None else int(pad_id)


def _padded(texts: Sequence[NDArray[np.int64]], pad_id: int) -> Batch:
    lengths = np.array([len(text) for text in texts])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad_id)
    ids[mask] = np.concatenate(texts)
    return Batch(ids, mask.astype(np.int64), np.arange(len(texts)))


def _packed(texts: Sequence[NDArray[np.int64]]) -> PackedBatch:
    lengths = np.array([len(text) for text in texts])
    positions = np.concatenate([np.arange(length) for length in lengths])
    return PackedBatch(np.concatenate(texts), positions, lengths, np.arange(len(texts)))
