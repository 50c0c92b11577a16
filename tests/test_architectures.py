"""The other encoder classes made of BERT's weights, and the tiny model that they are made of."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

from architectures import ARCHITECTURES, Architecture, write_as
from tiny import write_reviews, write_tiny_bert

TEXTS = ["Train.", "The film was wonderful, and the ending moved us", "Such a tedious story! 2 hours of it " * 3]


def encode(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of the texts as one padded batch, and the last hidden states of their tokens."""
    batch = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder).eval()(**batch).last_hidden_state
    return batch["input_ids"], states[batch["attention_mask"].bool()]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architecture_computes_what_bert_computes(architecture: Architecture, tmp_path: Path) -> None:
    """The rewritten folder must hold that class and give the source's token ids and hidden states."""
    source = write_tiny_bert(tmp_path / "bert")
    target = write_as(architecture, source, tmp_path / "target")
    ids, states = encode(source)
    other_ids, other_states = encode(target)
    assert AutoConfig.from_pretrained(target).model_type == architecture
    assert torch.equal(other_ids, ids)
    torch.testing.assert_close(other_states, states, rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architecture_takes_texts_as_long_as_bert_does(architecture: Architecture, tmp_path: Path) -> None:
    """A text of the longest length must fit, wherever the class counts its positions from."""
    target = write_as(architecture, write_tiny_bert(tmp_path / "bert"), tmp_path / "target")
    tokenizer = AutoTokenizer.from_pretrained(target)
    batch = tokenizer(["good " * 500], truncation=True, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(target).eval()(**batch).last_hidden_state
    assert states.shape == (1, 128, 32)


def test_tiny_bert_is_the_same_every_time(tmp_path: Path) -> None:
    """The same seed must give the same files, another seed other weights, and the global state must stay."""
    state = torch.random.get_rng_state()
    first, second = write_tiny_bert(tmp_path / "first"), write_tiny_bert(tmp_path / "second")
    other = write_tiny_bert(tmp_path / "other", seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert (other / "model.safetensors").read_bytes() != (first / "model.safetensors").read_bytes()


def test_tiny_tokenizer_is_a_real_one(tmp_path: Path) -> None:
    """The vocabulary must be small and lower-case, and must split unknown words and not pad by itself."""
    tokenizer = AutoTokenizer.from_pretrained(write_tiny_bert(tmp_path / "bert"))
    assert len(tokenizer) < 1000
    assert tokenizer.tokenize("GOOD odd!") == ["good", "o", "##d", "##d", "!"]
    assert len(tokenizer("good")["input_ids"]) == 3
    assert (tokenizer.pad_token_id, tokenizer.model_max_length) == (0, 128)


def test_reviews_are_even_and_distinct(tmp_path: Path) -> None:
    """The made-up reviews must have even classes and no text that stands in both files."""
    folder = write_reviews(tmp_path / "reviews", rows=100, test_rows=50)
    files = [
        list(csv.DictReader((folder / name).read_text(encoding="utf-8").splitlines()))
        for name in ("train.csv", "test.csv")
    ]
    assert [len(rows) for rows in files] == [100, 50]
    for rows in files:
        assert [row["label"] for row in rows].count("pos") == len(rows) // 2
    assert len({row["text"] for rows in files for row in rows}) == 150
