"""What frozen blocks make of a text is worked out once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from forgeml.data.batches import pack
from forgeml.model.forward import batch_logits
from forgeml.model.freezing import apply as freeze
from forgeml.model.packed.passing import Hooks
from forgeml.model.packed.recognizing import pack as let_pack
from forgeml.model.packed.remembering import Remembering
from forgeml.records import EncodedTexts
from small_classifiers import small_classifier

LENGTHS = (9, 3, 17, 3, 12)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _texts() -> EncodedTexts:
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    ids = np.random.default_rng(0).integers(5, 99, offsets[-1]).astype(np.int32)
    return EncodedTexts(ids, offsets, 0, np.zeros(len(LENGTHS), bool))


def _frozen(architecture: str = "bert") -> tuple[torch.nn.Module, Hooks, list[int]]:
    """A model whose lowest block is frozen, its hooks, and the tokens that this block has worked out each time."""
    model = small_classifier(architecture)
    freeze(model, 1)
    hooks = let_pack(model)
    assert hooks is not None
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    worked: list[int] = []
    layer = next(part for part in hooks.blocks[0].modules() if isinstance(part, torch.nn.Linear))
    layer.register_forward_hook(lambda layer, given, output: worked.append(output.shape[1]))
    return model, hooks, worked


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta", "electra"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_second_time_gives_the_same_without_the_frozen_block(architecture: str, dtype: torch.dtype) -> None:
    """Logits and gradients agree with the first time's, in batches of other texts as well."""
    model, hooks, worked = _frozen(architecture)
    if dtype == torch.bfloat16:
        hooks.compute_in(dtype)
    assert hooks.pass_over(1)
    texts, collate = _texts(), Remembering(pack)
    first = [batch_logits(model, collate(texts, np.array(chosen)), "cpu") for chosen in ([0, 1, 2], [3, 4])]
    sum(logits.square().sum() for logits in first).backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    assert len(worked) == 2
    batches = [collate(texts, np.array(chosen)) for chosen in ([4, 1], [2, 0, 3])]
    second = [batch_logits(model, batch, "cpu") for batch in batches]
    assert len(worked) == 2
    by_text = torch.cat(first)[np.argsort([1, 0, 2, 3, 4])], torch.cat(second)
    order = np.argsort(np.concatenate([batch.indexes for batch in batches]))
    tolerance = 1e-6 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(by_text[1][order], by_text[0], atol=tolerance, rtol=tolerance)
    sum(logits.square().sum() for logits in second).backward()
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            largest = float(gradients[name].abs().max())
            torch.testing.assert_close(weight.grad, gradients[name], atol=tolerance * max(1, largest), rtol=tolerance)


def test_a_batch_with_a_new_text_is_worked_out_as_a_whole() -> None:
    """Part of a batch cannot be passed over."""
    model, hooks, worked = _frozen()
    assert hooks.pass_over(1)
    texts, collate = _texts(), Remembering(pack)
    for chosen in ([0, 1], [1, 2], [2, 0, 1]):
        batch_logits(model, collate(texts, np.array(chosen)), "cpu")
    assert len(worked) == 2


def test_texts_of_two_parts_are_kept_apart() -> None:
    """Texts of validation have the numbers of others in train."""
    model, hooks, worked = _frozen()
    assert hooks.pass_over(1)
    collate = Remembering(pack)
    for texts in (_texts(), _texts()):
        batch_logits(model, collate(texts, np.arange(3)), "cpu")
    assert len(worked) == 2


@pytest.mark.parametrize(("architecture", "frozen"), [("albert", 1), ("bert", 0), ("bert", 2)])
def test_nothing_is_passed_over_where_nothing_can_be(architecture: str, frozen: int) -> None:
    """Blocks that share their weights, no frozen block, and no block that is trained."""
    hooks = let_pack(small_classifier(architecture))
    assert hooks is not None
    assert not hooks.pass_over(frozen)


def test_without_room_on_disk_all_is_worked_out_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk costs time and nothing else."""

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    model, hooks, worked = _frozen()
    assert hooks.pass_over(1)
    texts, collate = _texts(), Remembering(pack)
    for _ in range(3):
        batch_logits(model, collate(texts, np.arange(3)), "cpu")
    assert len(worked) == 3


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """The file has no name, so that it goes with the process."""
    model, hooks, _ = _frozen()
    assert hooks.pass_over(1)
    batch_logits(model, Remembering(pack)(_texts(), np.arange(3)), "cpu")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
