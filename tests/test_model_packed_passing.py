"""Hooks that let a classifier take packed batches."""

from __future__ import annotations

import numpy as np
import torch

from forgeml.batch import PackedBatch
from forgeml.model.forward import packed_inputs
from forgeml.model.packed.recognizing import pack
from small_classifiers import small_classifier


def _batch(*lengths: int) -> PackedBatch:
    tokens = sum(lengths)
    positions = np.concatenate([np.arange(length) for length in lengths])
    return PackedBatch(np.arange(5, 5 + tokens), positions, np.array(lengths), np.arange(len(lengths)))


def test_last_block_works_out_first_tokens_alone() -> None:
    """Its last layer sees as many rows as there are texts, that of the block before as many as there are tokens."""
    model = small_classifier("bert").eval()
    assert pack(model) is not None
    rows: list[int] = []
    for block in model.bert.encoder.layer:
        block.output.dense.register_forward_hook(lambda layer, given, output: rows.append(output.shape[1]))
    model(**packed_inputs(_batch(4, 9, 9), "cpu"))
    assert rows == [22, 3]


def test_blocks_that_share_weights_are_counted_by_their_turns() -> None:
    """With one block for all layers only its last turn is for first tokens alone."""
    model = small_classifier("albert").eval()
    hooks = pack(model)
    assert hooks is not None
    assert (len(hooks.blocks), hooks.depth) == (1, 2)
    rows: list[int] = []
    hooks.blocks[0].ffn.register_forward_hook(lambda layer, given, output: rows.append(output.shape[1]))
    model(**packed_inputs(_batch(4, 9, 9), "cpu"))
    assert rows == [22, 3]


def test_removed_hooks_leave_nothing_behind() -> None:
    """The model has none of them any more."""
    model = small_classifier("bert").eval()
    hooks = pack(model)
    assert hooks is not None
    hooks.remove()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_blocks_compute_in_16_bits_and_the_head_in_32() -> None:
    """Embeddings and head, which are small or summed over many tokens, keep their precision."""
    model = small_classifier("roberta").eval()
    hooks = pack(model)
    assert hooks is not None
    hooks.compute_in(torch.bfloat16)
    kinds: dict[str, torch.dtype] = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
            module.register_forward_hook(lambda layer, given, output, name=name: kinds.update({name: output.dtype}))
    model(**packed_inputs(_batch(4, 9, 9), "cpu"))
    assert {kind for name, kind in kinds.items() if ".layer." in name} == {torch.bfloat16}
    assert {kind for name, kind in kinds.items() if ".layer." not in name} == {torch.float32}
