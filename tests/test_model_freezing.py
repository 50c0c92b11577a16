"""Lower blocks that stay as they are."""

from __future__ import annotations

import copy

import pytest
import torch

from encoders import CONFIGS, COUNTS, small_classifier, some_ids
from forgeml.errors import ConfigError
from forgeml.model.blocks import find_blocks
from forgeml.model.freezing import apply


@pytest.mark.parametrize("name", CONFIGS)
def test_no_gradient_goes_through_frozen_blocks(name: str) -> None:
    """What the highest frozen block gives needs no gradient, so none is computed below; all above has one."""
    model = small_classifier(name).train()
    layers = min(2, COUNTS[name])
    apply(model, layers)
    found = find_blocks(model)
    needed: list[bool] = []

    def note(block: object, inputs: object, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        needed.append((output if isinstance(output, torch.Tensor) else output[0]).requires_grad)

    found.blocks[layers - 1].register_forward_hook(note)
    model(**some_ids()).logits.sum().backward()
    assert set(needed) == {False}
    frozen = {*found.embeddings.parameters(), *found.blocks[:layers].parameters()}
    for path, weight in model.named_parameters():
        assert weight.requires_grad == (weight not in frozen), path
        assert (weight.grad is not None) == weight.requires_grad, path


@pytest.mark.parametrize("name", ["bert", "albert", "deberta-v2", "gpt2"])
def test_frozen_blocks_give_the_same_every_time(name: str) -> None:
    """In training too they have no dropout; with the rest frozen as well a text's hidden states never change."""
    model = small_classifier(name)
    apply(model, COUNTS[name])
    states = []
    for _ in range(3):
        model.eval()
        model.train()
        states.append(model.base_model(**some_ids()).last_hidden_state)
    assert model.training
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


def test_what_is_not_frozen_has_its_dropout() -> None:
    """Blocks above follow the model between training and evaluation."""
    model = small_classifier("bert")
    apply(model, 1)
    blocks = find_blocks(model).blocks
    model.train()
    assert [block.training for block in blocks] == [False, True, True]
    assert not any(part.training for part in blocks[0].modules())
    model.eval()
    assert [block.training for block in blocks] == [False, False, False]


def test_none_means_the_embeddings_alone() -> None:
    """With 0 blocks the embeddings stay and all blocks are trained."""
    model = small_classifier("bert")
    apply(model, 0)
    found = find_blocks(model)
    assert not any(weight.requires_grad for weight in found.embeddings.parameters())
    assert all(weight.requires_grad for weight in found.blocks.parameters())


def test_copy_of_a_frozen_model_is_frozen_by_itself() -> None:
    """A copy's parts are its own, not those of the model that it was made of."""
    model = small_classifier("bert")
    apply(model, 1)
    twin = copy.deepcopy(model).train()
    assert twin.bert.embeddings.train() is twin.bert.embeddings
    assert not twin.bert.embeddings.training


def test_more_blocks_than_there_are_are_refused() -> None:
    """The number that the model has is told, and nothing is frozen."""
    model = small_classifier("bert")
    with pytest.raises(ConfigError, match="4 blocks are to be frozen, and this model has 3 blocks") as caught:
        apply(model, 4)
    assert caught.value.problems[0].where == "training.freeze_layers"
    assert "set it to 3 or less" in caught.value.problems[0].fix
    assert all(weight.requires_grad for weight in model.parameters())
