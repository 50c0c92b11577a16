"""The whole run."""

from __future__ import annotations

import json
from pathlib import Path


def test_saved_folder_has_exactly_the_promised_files(trained: Path) -> None:
    """`best_model/` holds what transformers writes, the manifest and the card, and nothing else."""
    names = sorted(file.name for file in (trained / "best_model").iterdir())
    assert names == [
        "README.md",
        "config.json",
        "forgeml.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_tiny_run_learns(trained: Path) -> None:
    """The tiny classifier tells the made-up reviews apart."""
    manifest = json.loads((trained / "best_model" / "forgeml.json").read_text())
    assert manifest["metrics"]["test"]["accuracy"] >= 0.9
