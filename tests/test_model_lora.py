"""Adapters, and the plain model that comes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from architectures import ARCHITECTURES, Architecture, write_as
from encoders import CONFIGS, small_classifier, some_ids
from forgeml.errors import ConfigError
from forgeml.model import freezing, lora
from forgeml.model.blocks import find_blocks
from forgeml.model.saved import Classifying, write_model
from test_model_saved import TEXTS, build


def _adapted(model: PreTrainedModel) -> dict[str, LoraLayer]:
    return {name: part for name, part in model.named_modules() if isinstance(part, LoraLayer)}


def _fill(model: PreTrainedModel) -> None:
    """Give the adapters weights that make a difference, as training does: they begin with none."""
    generator = torch.Generator().manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2, generator=generator)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_saved_model_is_plain_and_answers_the_same(
    architecture: Architecture, tiny_model: Path, tmp_path: Path
) -> None:
    """The folder has no adapters, and plain transformers has the logits of the adapted model to 1e-5."""
    model, tokenizer = build(write_as(architecture, tiny_model, tmp_path / "source"))
    batch = tokenizer(TEXTS, truncation=True, max_length=64, padding=True, return_tensors="pt")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        before = model(**inputs).logits
        fold = lora.apply(model, 4)
        untouched = model.eval()(**inputs).logits
        _fill(model)
        adapted = model(**inputs).logits
    write_model(tmp_path / "saved", Classifying(model, tokenizer, 64, (fold,)))
    files = {file.name for file in (tmp_path / "saved").iterdir()}
    assert files == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    with torch.inference_mode():
        plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()(**inputs).logits
    torch.testing.assert_close(untouched, before, rtol=0, atol=0)
    torch.testing.assert_close(plain, adapted, rtol=0, atol=1e-5)
    assert (adapted - before).abs().max() > 0.1


def test_saving_leaves_the_training_alone(tiny_model: Path, tmp_path: Path) -> None:
    """Weights, gradients, what is trained, and the mode are after saving what they were before."""
    model, tokenizer = build(tiny_model)
    fold = lora.apply(model, 4)
    _fill(model)
    model.train()(**some_ids()).logits.sum().backward()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    trained = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    write_model(tmp_path / "saved", Classifying(model, tokenizer, 64, (fold,)))
    assert model.training
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert trained.keys() == {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert all(torch.equal(model.get_parameter(name).grad, gradient) for name, gradient in trained.items())


@pytest.mark.parametrize("name", CONFIGS)
def test_all_linear_layers_of_the_encoder_and_the_whole_head_are_trained(name: str) -> None:
    """Each has an adapter in every family; what stands above the blocks is trained itself; nothing else is."""
    model = small_classifier(name)
    found = find_blocks(model)
    matrices = [
        part
        for part in (*found.embeddings.modules(), *found.blocks.modules())
        if type(part).__name__ in ("Linear", "Conv1D")
    ]
    below = {*found.embeddings.parameters(), *found.blocks.parameters()}
    head = {path for path, weight in model.named_parameters() if weight not in below}
    lora.apply(model, 2)
    adapted = _adapted(model)
    assert {id(layer.get_base_layer()) for layer in adapted.values()} == set(map(id, matrices))
    assert {layer.scaling["default"] for layer in adapted.values()} == {2.0}
    assert {layer.lora_dropout["default"].p for layer in adapted.values()} == {0.1}
    trained = {path for path, weight in model.named_parameters() if weight.requires_grad}
    assert {path for path in trained if ".lora_" not in path} == head
    assert len(trained - head) == 2 * len(adapted)


@pytest.mark.parametrize("name", ["gpt2", "deberta-v2", "modernbert", "mpnet"])
def test_other_families_are_merged_too(name: str) -> None:
    """The plain model with the merged weights answers as the adapted one, also where matrices are stored turned."""
    model, plain = small_classifier(name).eval(), small_classifier(name, seed=1).eval()
    lora.apply(model, 2)
    _fill(model)
    plain.load_state_dict(lora.merged(model, model.state_dict()), strict=True)
    with torch.inference_mode():
        torch.testing.assert_close(plain(**some_ids()).logits, model.eval()(**some_ids()).logits, rtol=0, atol=1e-5)


def test_frozen_blocks_get_no_adapters() -> None:
    """After freezing only what is left is adapted; where nothing is, that is refused with what to change."""
    model = small_classifier("bert")
    freezing.apply(model, 2)
    lora.apply(model, 2)
    assert {name.split(".")[3] for name in _adapted(model)} == {"2"}
    frozen = small_classifier("bert")
    freezing.apply(frozen, 3)
    with pytest.raises(ConfigError, match="no linear layer of the encoder is left") as caught:
        lora.apply(frozen, 2)
    assert caught.value.problems[0].where == "training.lora_rank"
