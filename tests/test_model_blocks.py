"""Blocks are found in every family of encoders."""

from __future__ import annotations

import pytest
import torch
from transformers import AlbertConfig, XLMConfig

from encoders import CONFIGS, COUNTS, SIZES, classifier_of, small_classifier, some_ids
from forgeml.errors import ModelError
from forgeml.model.blocks import find_blocks

ABOVE = {
    "bert": {"bert.pooler.dense", "classifier"},
    "distilbert": {"pre_classifier", "classifier"},
    "albert": {"albert.pooler", "classifier"},
    "deberta": {"pooler.dense", "classifier"},
    "deberta-v2": {"pooler.dense", "classifier"},
    "modernbert": {"model.final_norm", "head.dense", "head.norm", "classifier"},
    "gpt2": {"transformer.ln_f", "score"},
}
"""What stands above the blocks; in all others the two layers of the classifier."""


@pytest.mark.parametrize("name", CONFIGS)
def test_blocks_are_those_that_run_one_after_the_other(name: str) -> None:
    """There are as many as the model has layers of its own, from the lowest to the highest."""
    model = small_classifier(name)
    blocks = find_blocks(model).blocks
    called: list[int] = []
    for place, block in enumerate(blocks):
        block.register_forward_hook(lambda *parts, place=place: called.append(place))
    model.eval()(**some_ids())
    assert list(dict.fromkeys(called)) == list(range(COUNTS[name]))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_weight_has_its_place(name: str) -> None:
    """Embeddings, blocks and what stands above share out all the weights, none in two of them."""
    model = small_classifier(name)
    found = find_blocks(model)
    below = {*found.embeddings.parameters(), *found.blocks.parameters()}
    assert not set(found.embeddings.parameters()) & set(found.blocks.parameters())
    above = {path.rpartition(".")[0] for path, weight in model.named_parameters() if weight not in below}
    assert above == ABOVE.get(name, {"classifier.dense", "classifier.out_proj"})


def test_groups_of_shared_layers_are_blocks() -> None:
    """Where ALBERT has several groups of layers, each group is a block."""
    config = AlbertConfig(**SIZES, embedding_size=8, num_hidden_groups=3)
    assert len(find_blocks(classifier_of(config)).blocks) == 3


def test_layers_in_several_lists_are_refused() -> None:
    """XLM keeps the parts of its layers in a list for each kind: no list holds a whole layer."""
    model = classifier_of(XLMConfig(vocab_size=60, emb_dim=16, n_layers=3, n_heads=2, max_position_embeddings=40))
    with pytest.raises(ModelError, match="the layers of XLMModel are not one list"):
        find_blocks(model)


def test_model_without_blocks_is_refused() -> None:
    """A model that is no stack of layers is told as such, not by an error of Python."""
    model = small_classifier("bert")
    model.bert.encoder.layer = torch.nn.Sequential(*model.bert.encoder.layer)
    with pytest.raises(ModelError, match="are not one list"):
        find_blocks(model)
