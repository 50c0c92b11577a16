"""A model that answers requests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from forgeml.errors import ModelError
from forgeml.serving.answering.served import Opening, Served
from forgeml.serving.limits import Limits


def _nothing(texts: int, tokens: int, seconds: float) -> None:
    pass


def test_it_is_what_the_folder_has(trained: Path) -> None:
    """Name, task and labels are those of the folder, and the version is the same each time that it is opened."""
    how = Opening(str(trained / "best_model"), "auto", "auto", Limits())
    served, again = Served.open(how, _nothing), Served.open(how, _nothing)
    assert served.facts == again.facts
    assert (served.facts.name, served.facts.task, served.facts.labels) == ("best_model", "single_label", ("neg", "pos"))
    assert served.facts.pairs is False
    assert len(served.facts.version) == 12
    for one in (served, again):
        one.batcher.close()


def test_another_model_has_another_version(saved: Path) -> None:
    """The version changes with the manifest, which has the hashes of all files; without one, with the files."""
    how = Opening(str(saved), "auto", "auto", Limits())
    manifest = json.loads((saved / "forgeml.json").read_text())
    seen = []
    for change in ({}, {"metrics": {}}, None):
        if change is None:
            (saved / "forgeml.json").unlink()
        else:
            (saved / "forgeml.json").write_text(json.dumps(manifest | change))
        served = Served.open(how, _nothing)
        served.batcher.close()
        seen.append(served.facts.version)
    assert len(set(seen)) == 3


def test_nothing_of_the_training_machine_is_told(trained: Path) -> None:
    """`/info` has the metrics and the labels, and no path of the machine that trained the model."""
    served = Served.open(Opening(str(trained / "best_model"), "auto", "auto", Limits()), _nothing)
    about = served.about()
    assert about["metrics"]["test"]["accuracy"] > 0.5
    assert about["model"]["labels"] == ["neg", "pos"]
    assert str(trained.parent) not in json.dumps(about)
    served.batcher.close()


def test_a_model_of_numbers_that_are_none_is_refused(saved: Path) -> None:
    """A model that gives NaN for ordinary texts never gets to answer."""
    (saved / "forgeml.json").unlink()
    tensors = load_file(saved / "model.safetensors")
    tensors["bert.embeddings.LayerNorm.weight"] = np.full_like(tensors["bert.embeddings.LayerNorm.weight"], np.inf)
    save_file(tensors, saved / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError):
        Served.open(Opening(str(saved), "auto", "auto", Limits()), _nothing)
