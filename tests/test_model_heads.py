"""Heads that came with a model: kept, reordered or replaced, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from architectures import ARCHITECTURES, Architecture, write_as
from forgeml.model.heads import fit_head, start_at_base_rates
from forgeml.model.pretrained import build_classifier, fetch_pretrained, open_tokenizer

TINY = BertConfig(vocab_size=4, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4)


@pytest.fixture(params=ARCHITECTURES)
def tuned(request: pytest.FixtureRequest, tiny_model: Path, tmp_path: Path) -> Path:
    """A folder of each architecture with a head for three classes, called c, a and b."""
    architecture: Architecture = request.param
    pretrained = fetch_pretrained(str(write_as(architecture, tiny_model, tmp_path / "plain")), None)
    tokenizer = open_tokenizer(pretrained)
    build_classifier(pretrained, "single_label", ["c", "a", "b"], tokenizer).save_pretrained(tmp_path / "tuned")
    tokenizer.save_pretrained(tmp_path / "tuned")
    return tmp_path / "tuned"


def test_head_answers_for_the_same_classes_in_any_order(tuned: Path) -> None:
    """Opened for the same names in another order and case, each class keeps its logit."""
    told: list[str] = []
    pretrained = fetch_pretrained(str(tuned), None)
    tokenizer = open_tokenizer(pretrained)
    before, after = (
        build_classifier(pretrained, "single_label", names, tokenizer, told.append).eval()
        for names in (["c", "a", "b"], list("ABC"))
    )
    ids = torch.tensor([[2, 9, 30, 3]])
    torch.testing.assert_close(after(ids).logits[0], before(ids).logits[0][[1, 2, 0]])
    assert told == ["its head has the classes in another order, c, a, b; they are put into that of the data"]


def test_each_change_is_told_once(tuned: Path) -> None:
    """A head of another size gives way, one for other names goes on; both are said, and no more than that."""
    pretrained = fetch_pretrained(str(tuned), None)
    told: list[str] = []
    build_classifier(pretrained, "single_label", ["no", "yes"], open_tokenizer(pretrained, told.append), told.append)
    assert told == ["its head for 3 classes gives way to a new one for 2"]
    told.clear()
    build_classifier(pretrained, "single_label", ["x", "y", "z"], open_tokenizer(pretrained), told.append)
    assert told == ["its head was trained for c, a, b, in this order; these classes are now x, y, z"]


def test_plain_encoder_needs_no_words(tiny_model: Path) -> None:
    """A model that has no head gets one, as everybody expects."""
    told: list[str] = []
    pretrained = fetch_pretrained(str(tiny_model), None)
    build_classifier(pretrained, "single_label", ["no", "yes"], open_tokenizer(pretrained, told.append), told.append)
    assert told == []


@pytest.mark.parametrize("wanted", [["a", "b"], ["A", "b"]])
def test_head_that_fits_is_left_alone(wanted: list[str]) -> None:
    """The same classes in the same order need neither change nor words."""
    model = BertForSequenceClassification(TINY)
    before = model.classifier.weight.clone()
    assert fit_head(model, ["a", "b"], wanted, set(), set()) == ""
    assert torch.equal(model.classifier.weight, before)


def test_names_that_are_alike_but_for_their_case_are_not_mapped() -> None:
    """Where the letter case tells classes apart, nothing is guessed; long lists are cut."""
    model = BertForSequenceClassification(TINY)
    assert "was trained for a, A" in fit_head(model, ["a", "A"], ["A", "a"], set(), set())
    many = [str(number) for number in range(20)]
    assert fit_head(model, many, [*many[1:], "x"], set(), set()).count("...") == 2


def test_only_a_head_that_came_is_spoken_of() -> None:
    """What is absent or of another shape in the encoder is no matter of the head."""
    model = BertForSequenceClassification(TINY)
    assert fit_head(model, ["a", "b"], ["x", "y"], {"classifier.weight"}, set()) == ""
    assert fit_head(model, ["a", "b"], ["a", "b"], set(), {"bert.pooler.dense.weight"}) == ""


def test_fresh_head_begins_at_the_base_rates() -> None:
    """Its biases are the log-odds of the classes; those of a head that was trained stay."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 3))
    torch.nn.init.zeros_(model[0].bias)
    start_at_base_rates(model, np.array([0.5, 0.1, 0.0]))  # type: ignore[arg-type]
    assert torch.sigmoid(model[0].bias).tolist() == pytest.approx([0.5, 0.1, 1e-4], rel=1e-4)
    before = model[0].bias.clone()
    start_at_base_rates(model, np.array([0.2, 0.2, 0.2]))  # type: ignore[arg-type]
    assert torch.equal(model[0].bias, before)
