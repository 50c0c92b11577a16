"""The files that all contenders train on: the same rows in the same order, and models of random weights."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.plans import BERT, DISTILBERT

DIMENSIONS: dict[str, tuple[str, dict[str, int]]] = {
    DISTILBERT: ("distilbert", {"n_layers": 6, "dim": 768, "n_heads": 12, "hidden_dim": 3072}),
    BERT: (
        "bert",
        {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
    ),
}
"""Kind and sizes of the base models of these names, which read texts in small letters."""
VOCABULARY = 30_522
DRAWN_BY, WEIGHTS_BY = 1, 0
"""Seeds; those of a training are others."""
ENDINGS = (".csv", ".csv.gz")
Rows = list[tuple[str, str]]


def drawn(folder: Path, splits: Sequence[str], most: int) -> Rows:
    """Text and label of rows drawn at random from the first of these splits that is there.

    Raises:
        ValueError: none of them is, or it has other columns.
    """
    files = [folder / f"{split}{ending}" for split in splits for ending in ENDINGS]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise ValueError(f"not there: {files[0]} or {files[1]}")
    csv.field_size_limit(10**9)
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        if not {"text", "label"} <= set(reader.fieldnames or ()):
            raise ValueError(f"{file}: no columns text and label")
        rows = [(row["text"], row["label"]) for row in reader]
    random.Random(DRAWN_BY).shuffle(rows)
    return rows[:most]


def write_rows(rows: Rows, file: Path) -> Path:
    """The rows as a CSV file."""
    with file.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([("text", "label"), *rows])
    return file


def digest(rows: Rows) -> str:
    """A few letters that other rows would not have."""
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def describe(model: Path) -> dict[str, Any]:
    """Dimensions and weights of a model."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    layers, width = (
        config.get(name, config.get(other))
        for name, other in (("num_hidden_layers", "n_layers"), ("hidden_size", "dim"))
    )
    weights = hashlib.sha256()
    for file in sorted(model.glob("*.safetensors")):
        weights.update(file.read_bytes())
    return {"kind": config["model_type"], "layers": layers, "width": width, "weights": weights.hexdigest()[:16]}


def write_model(size: str, tokenizer: str, folder: str) -> None:
    """Write a model in the real dimensions of another, with random weights and the tokenizer of the one given."""
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    read = AutoTokenizer.from_pretrained(tokenizer)
    kind, dimensions = DIMENSIONS[size]
    words = max(VOCABULARY, len(read))
    config = AutoConfig.for_model(kind, vocab_size=words, pad_token_id=read.pad_token_id, **dimensions)
    torch.manual_seed(WEIGHTS_BY)
    AutoModel.from_config(config).save_pretrained(folder)
    read.save_pretrained(folder)


if __name__ == "__main__":
    write_model(*sys.argv[1:])
