"""The numbers of a regression: learnt at a scale of their own, said as they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, GPT2Config, GPT2ForSequenceClassification

from architectures import ARCHITECTURES, Architecture, write_as
from forgeml.inference.classifier import Classifier
from forgeml.model.pretrained import build_classifier, fetch_pretrained, open_tokenizer
from forgeml.model.saved import Classifying, write_model
from forgeml.model.scale import Scale, find_scale

NUMBERS = np.array([1200.0, 1500.5, 900.25, 1800.0], np.float32)
HEADS = {
    "bert": "classifier",
    "distilbert": "classifier",
    "roberta": "classifier.out_proj",
    "albert": "classifier",
    "electra": "classifier.out_proj",
}
TEXTS = ["A lovely film.", "Boring and bad.", "good " * 40]


def test_standardized_numbers_have_mean_0_and_deviation_1() -> None:
    """What is learnt is of the size of a fresh head's output, and comes back as it was."""
    scale = Scale(float(NUMBERS.mean()), float(NUMBERS.std()), "head")
    learnt = scale.standardized(NUMBERS)
    assert (learnt.dtype, scale.restored(learnt).dtype) == (np.float32, np.float32)
    assert learnt.mean() == pytest.approx(0, abs=1e-6)
    assert learnt.std() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(scale.restored(learnt), NUMBERS, rtol=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_saved_head_says_the_restored_numbers(architecture: Architecture, tiny_model: Path, tmp_path: Path) -> None:
    """Folded into the last layer of any kind of head, the scale makes the saved model say the numbers as written."""
    pretrained = fetch_pretrained(str(write_as(architecture, tiny_model, tmp_path / "plain")), None)
    tokenizer = open_tokenizer(pretrained)
    torch.manual_seed(1)
    model = build_classifier(pretrained, "regression", ["stars"], tokenizer).eval()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    scale = find_scale(model, NUMBERS)
    assert scale is not None
    assert scale.head == HEADS[architecture]
    write_model(tmp_path / "saved", Classifying(model, tokenizer, 64, (scale.folded,)))
    batch = tokenizer(TEXTS, truncation=True, max_length=64, padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = scale.restored(model(**batch).logits.numpy())
        by_library = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()(**batch).logits
    np.testing.assert_allclose(by_library.numpy(), expected, rtol=1e-5)
    answers = Classifier.from_pretrained(tmp_path / "saved", "cpu").predict(TEXTS)
    np.testing.assert_allclose([answer.value for answer in answers], expected[:, 0], rtol=1e-5)
    assert 600 < expected.mean() < 2400
    # The model that goes on learning is as it was.
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name]), name


def test_head_without_bias_has_no_scale() -> None:
    """A mean cannot be folded into a head that has nothing to add; its numbers are learnt as they are."""
    config = GPT2Config(vocab_size=4, n_embd=4, n_layer=1, n_head=1, n_positions=8, num_labels=1)
    model = GPT2ForSequenceClassification(config)
    assert model.score.bias is None
    assert find_scale(model, NUMBERS) is None


def test_constant_numbers_keep_their_mean() -> None:
    """Numbers that are all the same have no deviation to divide by."""
    scale = find_scale(torch.nn.Sequential(torch.nn.Linear(3, 1)), np.full(5, 7.5, np.float32))
    assert scale == Scale(7.5, 1.0, "0")
    np.testing.assert_array_equal(scale.standardized(np.full(2, 7.5, np.float32)), [0, 0])


def test_large_numbers_are_exact() -> None:
    """Mean and deviation are worked out in 64 bits: those of years do not lose their last digits."""
    years = np.arange(1_000_000, dtype=np.float32) % 2 + 2_000_000
    scale = find_scale(torch.nn.Sequential(torch.nn.Linear(3, 1)), years)
    assert scale is not None
    assert (scale.mean, scale.deviation) == (2_000_000.5, 0.5)


def test_head_that_tells_numbers_goes_on_from_where_it_was() -> None:
    """With the scale taken out and folded in again it says what it said."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 1))
    inputs = torch.randn(5, 4)
    before = model(inputs)
    scale = Scale(100.0, 16.0, "1")
    scale.unfold(model)
    assert torch.allclose(model(inputs) * 16 + 100, before, atol=1e-4)
    model.load_state_dict(scale.folded(model.state_dict()))
    assert torch.allclose(model(inputs), before, atol=1e-4)
