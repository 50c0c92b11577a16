"""The README.md of a saved folder."""

from __future__ import annotations

from typing import Any

import yaml

from forgeml.model.card import model_card

MANIFEST: dict[str, Any] = {
    "labels": ["neg", "{pos}"],
    "metrics": {"validation": {"accuracy": 0.91234, "loss": 0.3}, "test": {"accuracy": 0.9}},
    "data": {"name": "imdb", "rows": {"train": 20000, "test": 5}},
    "model": {"name": "distilbert/distilbert-base-uncased"},
}


def test_card_tells_the_story() -> None:
    """Model, data, sizes, classes and metrics are in the card, whatever signs they are written with."""
    card = model_card(MANIFEST)
    for part in ("neg, {pos}", "`distilbert/distilbert-base-uncased`", "`imdb` (20000 train, 5 test texts)"):
        assert part in card


def test_metrics_are_a_table() -> None:
    """A metric that a split does not have leaves its cell empty."""
    lines = model_card(MANIFEST).splitlines()
    assert "| metric | validation | test |" in lines
    assert "| accuracy | 0.9123 | 0.9000 |" in lines
    assert "| loss | 0.3000 |  |" in lines


def test_header_is_what_the_hub_reads() -> None:
    """The card begins with YAML that names the library and the task."""
    header = model_card(MANIFEST).split("---\n")[1]
    assert yaml.safe_load(header) == {"library_name": "transformers", "pipeline_tag": "text-classification"}


def test_card_without_metrics_says_so() -> None:
    """The model of a stopped run has none; there is no empty table then."""
    card = model_card({**MANIFEST, "metrics": {}})
    assert "No metrics were taken" in card
    assert "| metric" not in card
