"""Files of engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forgeml.data.tokens.bare import BareTokenizer
from forgeml.errors import ModelError
from forgeml.model.saved import open_saved
from forgeml.optimizing import building
from forgeml.optimizing.building import (
    RECIPES,
    calibration_inputs,
    files_of,
    inputs_of,
    lacks,
    record_tokenizer,
    refuse_others,
    remove_others,
)
from forgeml.records import Cut, ListedTexts
from tokenizers_made import MAKERS


def test_inputs_are_those_that_the_model_takes() -> None:
    """In the order of the files; the mask is always there."""
    assert inputs_of(MAKERS["byte_level"]()) == ["input_ids", "attention_mask"]
    assert inputs_of(MAKERS["special_last"]()) == ["input_ids", "attention_mask", "token_type_ids"]


def test_calibration_has_all_texts(saved: Path) -> None:
    """In batches of arrays by name, padded."""
    _, tokenizer, _ = open_saved(saved, "cpu")
    batches = calibration_inputs(tokenizer, ListedTexts(["good film"] * 40), Cut(64))
    assert [list(batch) for batch in batches] == [["input_ids", "attention_mask", "token_type_ids"]] * 2
    assert sum(len(batch["input_ids"]) for batch in batches) == 40
    assert all(values.dtype == np.int64 for batch in batches for values in batch.values())


def test_tokenizer_file_of_the_folder_serves_if_it_gives_the_same(saved: Path) -> None:
    """Otherwise one is written; a tokenizer in Python has none."""
    _, tokenizer, _ = open_saved(saved, "cpu")
    assert record_tokenizer(tokenizer, saved)["file"] == "tokenizer.json"
    assert not (saved / "onnx").exists()
    (saved / "tokenizer.json").unlink()
    found = record_tokenizer(tokenizer, saved)
    assert found["file"] == "onnx/tokenizer.json"
    assert BareTokenizer.open(saved / found["file"], found).pad_token_id == tokenizer.pad_token_id
    assert record_tokenizer(MAKERS["in_python"](), saved) is None


def test_absent_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs all that is needed to make files."""
    monkeypatch.setattr(building, "find_spec", lambda name: None if name == "onnx" else name)
    assert {name: lacks(name) for name in RECIPES} == dict.fromkeys(RECIPES, "pip install 'forgeml[optimize]'")
    assert lacks("torch-bf16") == ""


def test_files_are_found_and_removed(saved: Path) -> None:
    """Weights that lie beside a file belong to it; what is not kept goes, what a user keeps there stays."""
    for name in ("onnx/model.onnx", "onnx/mine.onnx", "openvino/model.xml", "openvino/model.bin"):
        (saved / name).parent.mkdir(exist_ok=True)
        (saved / name).write_text("x")
    assert files_of("onnx-fp32", saved) == ["onnx/model.onnx"]
    assert files_of("openvino-bf16", saved) == ["openvino/model.xml", "openvino/model.bin"]
    with pytest.raises(ModelError, match="was not written by forgeml optimize"):
        refuse_others(saved)
    remove_others(saved, ["onnx/model.onnx"])
    assert sorted(path.name for path in (saved / "onnx").iterdir()) == ["mine.onnx", "model.onnx"]
    assert not (saved / "openvino").exists()
    remove_others(saved, [])
    refuse_others(saved)
