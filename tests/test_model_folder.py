"""What is said of a folder before any library looks into it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from forgeml.errors import DataError, HubError, ModelError
from forgeml.model.folder import LibraryErrors, check_folder, first_line, or_hub, read_settings


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that can be damaged."""
    return Path(shutil.copytree(tiny_model, tmp_path / "copy"))


def problem(folder: Path) -> str:
    """What `check_folder` says."""
    with pytest.raises(ModelError) as caught:
        check_folder(folder, "copy")
    (found,) = caught.value.problems
    assert found.where == "model.name"
    assert found.fix
    return str(found)


def test_good_folder_passes(folder: Path) -> None:
    """A folder as save_pretrained writes it is fine."""
    check_folder(folder, "copy")


def test_lack_in_the_cache_is_the_hubs_matter_while_it_is_away(folder: Path) -> None:
    """Other programs leave parts of models in the cache; what is missing could be fetched were the hub there."""
    (folder / "model.safetensors").unlink()
    with pytest.raises(HubError, match=r"the hub gave no answer, and .* has no model\.safetensors"), or_hub(away=True):
        check_folder(folder, "someone/model")
    with pytest.raises(ModelError), or_hub(away=False):
        check_folder(folder, "someone/model")


def test_no_folder_is_said(tmp_path: Path) -> None:
    """A path that leads nowhere is called that."""
    assert "no such folder" in problem(tmp_path / "absent")


def test_file_is_said(folder: Path) -> None:
    """For a file the folder that holds it is offered."""
    text = problem(folder / "model.safetensors")
    assert "is a file" in text
    assert f"give the folder that holds it, {folder}" in text


def test_empty_folder_is_said(tmp_path: Path) -> None:
    """An empty folder is called that."""
    (tmp_path / "empty").mkdir()
    assert "it is empty" in problem(tmp_path / "empty")


def test_missing_configuration_is_named(folder: Path) -> None:
    """Without config.json its name is said, and what is there instead."""
    (folder / "config.json").unlink()
    text = problem(folder)
    assert "no config.json" in text
    assert "model.safetensors" in text


def test_missing_weights_are_named(folder: Path) -> None:
    """Without weights their name is said."""
    (folder / "model.safetensors").unlink()
    assert "no model.safetensors" in problem(folder)


def test_adapters_beside_the_weights_are_refused(folder: Path) -> None:
    """The library would put them into the model unasked, from whatever kind of file there is."""
    (folder / "adapter_config.json").write_text("{}")
    assert "has adapters beside its weights (adapter_config.json), which are not opened" in problem(folder)


def test_pickles_are_not_opened(folder: Path) -> None:
    """Weights in a pickle alone are refused for what a pickle can do."""
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    text = problem(folder)
    assert "pytorch_model.bin" in text
    assert "can run code" in text


@pytest.mark.parametrize("left", [[], ["vocab.json"], ["merges.txt"], ["tokenizer_config.json"]])
def test_missing_tokenizer_is_said(folder: Path, left: list[str]) -> None:
    """A tokenizer whose files are not complete is refused, with the files that there could be."""
    (folder / "tokenizer.json").unlink()
    for name in left:
        (folder / name).write_text("{}")
    text = problem(folder)
    assert "no tokenizer" in text
    assert "vocab.json with merges.txt" in text


@pytest.mark.parametrize(
    "names",
    [
        *(["vocab.txt"], ["vocab.json", "merges.txt"], ["spiece.model"], ["spm.model"], ["tokenizer.model"]),
        *(["sentencepiece.bpe.model"], ["sentencepiece.model"]),
    ],
)
def test_tokenizers_of_all_families_are_known(folder: Path, names: list[str]) -> None:
    """The files of BERT, RoBERTa, ALBERT, DeBERTa-v3, Llama, XLM-RoBERTa and RemBERT are enough each."""
    (folder / "tokenizer.json").unlink()
    for name in names:
        (folder / name).write_text("")
    check_folder(folder, "copy")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!DOCTYPE html>\n<html>", "line 1 is not JSON.*<!DOCTYPE html>"),
        ('{\n "model_type": bert\n}', "line 2 is not JSON"),
        ("", "line 1 is not JSON"),
        ("[1]", "holds a list, not an object"),
        ('{"transformers_weights": "adapter_model.bin"}', "sends to other weights: 'adapter_model.bin'"),
    ],
)
def test_damaged_configuration_is_told_with_its_line(folder: Path, text: str, message: str) -> None:
    """A config.json that is no JSON object is refused with the file and the line."""
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match=message) as caught:
        read_settings(folder)
    assert str(folder / "config.json") in str(caught.value)


def test_configuration_in_another_encoding_is_refused(folder: Path) -> None:
    """Bytes that are not UTF-8 do not end in a traceback."""
    (folder / "config.json").write_bytes(b'{"a": "\xff"}')
    assert "cannot be read" in problem(folder)


@pytest.mark.parametrize(
    "settings",
    [
        {"num_hidden_layers": 10**6},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": 1e300},
        {"num_labels": 10**9},
        {"text_config": {"num_hidden_layers": 10**6}},
    ],
)
def test_counts_are_bounded_by_the_weights(folder: Path, settings: dict[str, object]) -> None:
    """What would keep a library building for hours is refused before it starts."""
    known = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(known | settings))
    assert "with 39 tensors of weights it may be 1 to" in problem(folder)


def test_library_errors_become_model_errors() -> None:
    """Even a bare Exception, as tokenizers raises it, is told in words."""
    with (
        pytest.raises(ModelError, match="the tokenizer does not open: untagged") as caught,
        LibraryErrors("the tokenizer does not open"),
    ):
        raise Exception("untagged enum\nand more")
    assert "such as distilbert-base-uncased" in caught.value.problems[0].fix


@pytest.mark.parametrize(
    "error", [DataError.at("a", "b", "c"), MemoryError(), torch.OutOfMemoryError(), KeyboardInterrupt()]
)
def test_what_is_not_about_the_files_passes(error: BaseException) -> None:
    """Errors of the machine, of ForgeML itself and interrupts are not blamed on the model."""
    with pytest.raises(type(error)), LibraryErrors("it"):
        raise error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("\n one \ntwo"), "one"),
        (ValueError("Wrong field:\n  TypeError"), "Wrong field: TypeError"),
        (ValueError(), "ValueError"),
        (KeyError("gelu2"), "KeyError 'gelu2'"),
    ],
)
def test_first_line_says_something(error: Exception, text: str) -> None:
    """An error is told in one line that is never empty."""
    assert first_line(error) == text
