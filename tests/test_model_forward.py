"""From batches to logits."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerBase

from forgeml.batch import Batch
from forgeml.data.batches import collate, scoring_batches
from forgeml.data.tokens.encoding import encode
from forgeml.model.forward import batch_logits, predict_logits
from forgeml.model.pretrained import build_classifier, fetch_pretrained, open_tokenizer
from forgeml.records import Cut, EncodedTexts
from tiny import listed

WORDS = ["good", "film", "the", "bad", "awful", "river", "zzz"]
TEXTS = [" ".join(WORDS[start:] * times) for start, times in enumerate((1, 5, 2, 3, 30, 1, 20))]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> torch.nn.Module:
    """A classifier for three classes, in evaluation mode."""
    pretrained = fetch_pretrained(str(tiny_model), None)
    torch.manual_seed(0)
    model = build_classifier(pretrained, "single_label", ["a", "b", "c"], open_tokenizer(pretrained)).eval()
    # So that what a text says reaches the logits: with weights as they are drawn, all texts are much alike.
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.2)
    return model


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    """That of the model."""
    return open_tokenizer(fetch_pretrained(str(tiny_model), None))


@pytest.fixture(scope="module")
def encoded(tokenizer: PreTrainedTokenizerBase) -> EncodedTexts:
    """Texts of very different lengths."""
    return encode(tokenizer, listed(TEXTS), Cut(64))


def batches(encoded: EncodedTexts, *groups: list[int]) -> Iterator[Batch]:
    """Batches of the texts with these numbers."""
    return (collate(encoded, np.array(group)) for group in groups)


def test_logits_are_fp32_of_the_batch(model: torch.nn.Module, encoded: EncodedTexts) -> None:
    """One row a text, one column a class, in fp32 even if the model computes in less."""
    (batch,) = batches(encoded, [2, 0])
    assert batch_logits(model, batch, "cpu").shape == (2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert batch_logits(model, batch, "cpu").dtype == torch.float32


def test_order_of_the_texts_is_kept(model: torch.nn.Module, encoded: EncodedTexts) -> None:
    """Whatever the batches and their order, row i belongs to text i, with the same numbers to 1e-5."""
    alone = predict_logits(model, batches(encoded, *([i] for i in range(7))), "cpu")
    for plan in ([[6, 0, 3], [1], [5, 4, 2]], [[0, 1, 2, 3, 4, 5, 6]], [[4, 2, 0, 6, 5, 3, 1]]):
        np.testing.assert_allclose(predict_logits(model, batches(encoded, *plan), "cpu"), alone, rtol=0, atol=1e-5)
    np.testing.assert_allclose(predict_logits(model, scoring_batches(encoded, 2), "cpu"), alone, rtol=0, atol=1e-5)
    assert np.diff(np.sort(alone[:, 0])).min() > 1e-3


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_left_as_it_was(model: torch.nn.Module, encoded: EncodedTexts, training: bool) -> None:
    """Dropout is off while predicting, and the mode is restored, also after an error."""
    model.train(training)
    first, second = (predict_logits(model, batches(encoded, [0, 1]), "cpu") for _ in range(2))
    assert np.array_equal(first, second)
    assert model.training == training
    with pytest.raises(IndexError):
        predict_logits(model, batches(encoded, [0], [99]), "cpu")
    assert model.training == training
    model.eval()


def test_no_gradients_are_kept(model: torch.nn.Module, encoded: EncodedTexts) -> None:
    """Predicting leaves no gradients behind."""
    predict_logits(model, batches(encoded, [0]), "cpu")
    assert all(weight.grad is None for weight in model.parameters())


def test_no_batches_give_no_rows(model: torch.nn.Module) -> None:
    """Without any text the answer is empty."""
    assert predict_logits(model, [], "cpu").shape == (0, 0)


def test_progress_counts_texts(model: torch.nn.Module, encoded: EncodedTexts) -> None:
    """After each batch the number of texts done so far is told."""
    told: list[int] = []
    predict_logits(model, batches(encoded, [0, 1, 2], [3], [4, 5, 6]), "cpu", told.append)
    assert told == [3, 4, 7]


def test_pairs_have_the_logits_of_the_library(model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    """For pairs the logits are those of the library's own tokenizer call and model call, token types included."""
    pairs = TEXTS[::-1]
    with torch.no_grad():
        inputs = tokenizer(TEXTS, pairs, truncation=True, max_length=32, padding=True, return_tensors="pt")
        expected = model(**inputs).logits.numpy()
        without = model(inputs["input_ids"], inputs["attention_mask"]).logits.numpy()
    encoded = encode(tokenizer, listed(TEXTS, pairs), Cut(32))
    np.testing.assert_allclose(predict_logits(model, scoring_batches(encoded, 3), "cpu"), expected, rtol=0, atol=1e-5)
    assert np.abs(expected - without).max() > 1e-3


def test_windows_are_averaged(model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    """A text's logits are the mean over its windows, each scored as a text of its own, in whatever batch."""
    encoded = encode(tokenizer, listed(TEXTS), Cut(12, "windows"))
    assert encoded.bounds is not None
    pieces = EncodedTexts(encoded.ids, encoded.offsets, encoded.pad_id, np.zeros(len(encoded.offsets) - 1, bool))
    alone = predict_logits(model, batches(pieces, *([index] for index in range(len(pieces)))), "cpu")
    expected = [alone[start:stop].mean(axis=0) for start, stop in itertools.pairwise(encoded.bounds)]
    for size in (1, 8, 100):
        found = predict_logits(model, scoring_batches(encoded, size), "cpu")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_mean_over_windows_passes_gradients(model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    """Training through several windows of a text reaches the weights."""
    encoded = encode(tokenizer, listed(TEXTS), Cut(12, "windows"))
    batch_logits(model, collate(encoded, np.array([4, 0])), "cpu").sum().backward()
    gradients = [weight.grad for weight in model.parameters()]
    model.zero_grad(set_to_none=True)
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)
