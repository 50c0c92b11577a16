"""Which models take packed batches, and that these give the same."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, NomicBertConfig

from forgeml.data.batches import collate
from forgeml.data.batches import pack as packed
from forgeml.model.forward import batch_logits
from forgeml.model.packed.recognizing import pack
from forgeml.records import EncodedTexts
from small_classifiers import SETTINGS, SIZES, WITH_TOKEN_TYPES, small_classifier

PACKED = ("bert", "distilbert", "roberta", "xlm-roberta", "albert", "electra")
LENGTHS = (9, 3, 17, 3, 30, 11, 12, 3)


def encoded(pad_id: int, *, types: bool = False, windows: bool = False) -> EncodedTexts:
    """Texts of several lengths, in several pieces each if asked for."""
    generator = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    tokens = int(offsets[-1])
    ids = generator.choice(np.delete(np.arange(100), pad_id), tokens).astype(np.int32)
    bounds = np.array([0, 3, 4, 8]) if windows else None
    lost = np.zeros(3 if windows else len(LENGTHS), bool)
    return EncodedTexts(
        ids, offsets, pad_id, lost, generator.integers(0, 2, tokens, np.uint8) if types else None, bounds
    )


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize("architecture", PACKED)
def test_packed_batches_have_the_logits_and_gradients_of_padded_ones(architecture: str, windows: bool) -> None:
    """In fp32 they agree to 1e-5, for texts of one piece and of several, with the last block for first tokens alone."""
    model = small_classifier(architecture).eval()
    other = copy.deepcopy(model)
    hooks = pack(model)
    assert hooks is not None
    assert hooks.key_and_value is not None
    texts = encoded(model.config.pad_token_id, types=architecture in WITH_TOKEN_TYPES, windows=windows)
    chosen = np.array([2, 0, 1]) if windows else np.array([4, 1, 0, 6, 3])
    batch, padded = packed(texts, chosen), collate(texts, chosen)
    logits, wanted = batch_logits(model, batch, "cpu"), batch_logits(other, padded, "cpu")
    in_order = logits[np.argsort(batch.indexes)], wanted[np.argsort(padded.indexes)]
    torch.testing.assert_close(*in_order, atol=1e-5, rtol=1e-5)
    logits.square().sum().backward()
    wanted.square().sum().backward()
    for (name, weight), fellow in zip(model.named_parameters(), other.parameters(), strict=True):
        gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
        expected = torch.zeros_like(weight) if fellow.grad is None else fellow.grad
        largest = max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(gradient, expected, atol=1e-5 * largest, rtol=1e-4, msg=name)


@pytest.mark.parametrize("architecture", sorted(set(SETTINGS) - set(PACKED)))
def test_other_models_are_left_as_they_were(architecture: str) -> None:
    """Those that attend in their own way, or to near tokens alone, or classify by another token."""
    model = small_classifier(architecture).eval()
    before = model.config._attn_implementation
    texts = encoded(model.config.pad_token_id or 0)
    wanted = batch_logits(model, collate(texts, np.arange(4)), "cpu")
    assert pack(model) is None
    assert model.config._attn_implementation == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.equal(batch_logits(model, collate(texts, np.arange(4)), "cpu"), wanted)


def test_padded_batches_pass_as_before() -> None:
    """A model that takes packed batches gives the same for padded ones as it did."""
    model = small_classifier("bert").eval()
    batch = collate(encoded(0), np.arange(5))
    wanted = batch_logits(model, batch, "cpu")
    assert pack(model) is not None
    assert torch.equal(batch_logits(model, batch, "cpu"), wanted)


def test_more_tokens_than_the_model_has_positions() -> None:
    """Positions are counted in each text, so a batch may be longer than any text."""
    for architecture in PACKED:
        model = small_classifier(architecture).eval()
        other = copy.deepcopy(model)
        assert pack(model) is not None
        texts = encoded(model.config.pad_token_id)
        chosen = np.arange(len(LENGTHS))
        assert len(packed(texts, chosen).input_ids) > SIZES["max_position_embeddings"]  # type: ignore[operator]
        batch = packed(texts, chosen)
        wanted = batch_logits(other, collate(texts, batch.indexes), "cpu")
        torch.testing.assert_close(batch_logits(model, batch, "cpu"), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bits_between_the_blocks_stay_near_32(dtype: torch.dtype) -> None:
    """Logits are fp32 and differ by the rounding of the short numbers; weights stay fp32."""
    model = small_classifier("bert").eval()
    texts = encoded(0)
    hooks = pack(model)
    assert hooks is not None
    batch = packed(texts, np.arange(6))
    wanted = batch_logits(model, batch, "cpu")
    hooks.compute_in(dtype)
    logits = batch_logits(model, batch, "cpu")
    assert logits.dtype == torch.float32
    assert 0 < float((logits - wanted).detach().abs().max()) < 0.05 * float(wanted.detach().abs().max())
    logits.sum().backward()
    assert all(weight.dtype == torch.float32 for weight in model.parameters())


def test_a_model_that_says_the_same_of_every_text_is_not_packed() -> None:
    """Nothing can be seen from its logits, so nothing is taken for granted."""
    model = small_classifier("bert").eval()
    torch.nn.init.zeros_(model.classifier.weight)
    assert pack(model) is None


def test_mode_and_randomness_are_left_alone() -> None:
    """The trial draws nothing from torch and does not change between training and evaluation."""
    model = small_classifier("bert").train()
    state = torch.get_rng_state()
    assert pack(model) is not None
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_a_block_that_turns_its_keys_works_out_all_tokens() -> None:
    """With rotary positions keys are not what a layer made, so the first alone cannot be worked out; the rest can."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(NomicBertConfig(**SIZES, pad_token_id=0)).eval()
    texts, other = encoded(0), copy.deepcopy(model)
    hooks = pack(model)
    assert hooks is not None
    assert hooks.key_and_value is None
    batch = packed(texts, np.arange(6))
    wanted = batch_logits(other, collate(texts, batch.indexes), "cpu")
    torch.testing.assert_close(batch_logits(model, batch, "cpu"), wanted, atol=1e-5, rtol=1e-5)
