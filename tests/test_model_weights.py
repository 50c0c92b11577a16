"""Safetensors files that are not what they should be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from forgeml.errors import ModelError
from forgeml.model.weights import INDEX, WEIGHTS, StoredWeights, stored_weights, weight_files

DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda whole: b"", "is empty"),
    "three bytes": (lambda whole: whole[:3], "is not a safetensors file"),
    "cut in the header": (lambda whole: whole[:20], "ends after 20 bytes, inside its header"),
    "cut in the numbers": (lambda whole: whole[:-4000], "is damaged: 0.0 of 0.0 MB"),
    "too long": (lambda whole: whole + b"x", "is damaged"),
    "a git-lfs pointer": (
        lambda whole: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 90868376\n",
        "git-lfs pointer",
    ),
    "a web page": (lambda whole: b"<!DOCTYPE html><html><body>Sign in</body></html>", "is not a safetensors file"),
    "a header that is no JSON": (lambda whole: (4).to_bytes(8, "little") + b"oops", "header is not JSON"),
    "a header that is a list": (lambda whole: (2).to_bytes(8, "little") + b"[]", "header is not a JSON object"),
    "a header of other things": (lambda whole: (9).to_bytes(8, "little") + b'{"a": 12}', "does not describe tensors"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with 2 tensors of 1,200 numbers together."""
    save_file({"a": torch.zeros(30, 30), "b": torch.zeros(300)}, tmp_path / WEIGHTS)
    return tmp_path


def test_whole_file_is_counted(folder: Path) -> None:
    """Tensors and numbers are counted from the header alone."""
    assert stored_weights(folder) == StoredWeights(tensors=2, elements=1200)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_named(folder: Path, damage: str) -> None:
    """A file that is not whole is refused with its name, what is wrong with it, and what to do."""
    change, message = DAMAGES[damage]
    path = folder / WEIGHTS
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ModelError, match=message) as caught:
        stored_weights(folder)
    assert WEIGHTS in str(caught.value)
    assert str(folder) in caught.value.problems[0].fix


def test_damage_is_told_in_bytes(folder: Path) -> None:
    """Both sizes are in the message: what is there and what there should be."""
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=f"{len(whole) // 2:,} of {len(whole):,} bytes"):
        stored_weights(folder)


def test_shards_are_counted_together(folder: Path) -> None:
    """A model in several files is the sum of them."""
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    for tensor, name in names.items():
        save_file({tensor: torch.zeros(5)}, folder / name)
    (folder / WEIGHTS).unlink()
    (folder / INDEX).write_text(json.dumps({"weight_map": names}))
    assert stored_weights(folder) == StoredWeights(tensors=2, elements=10)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ('{"weight_map": {"a": "absent.safetensors"}}', "missing are: absent.safetensors"),
        ('{"weight_map": {"a": "../model.safetensors"}}', "not a file of this folder"),
        ('{"weight_map": {"a": "/etc/hostname"}}', "not a file of this folder"),
        ('{"weight_map": {}}', "missing are: all"),
        ('{"weight_map": [1]}', "does not say"),
        ("{}", "does not say"),
        ("<html>", "does not say"),
    ],
)
def test_index_leads_to_files_of_its_folder(folder: Path, tmp_path: Path, index: str, message: str) -> None:
    """An index that is damaged, or names a file that is absent or elsewhere, is refused."""
    inner = tmp_path / "inner"
    inner.mkdir()
    shutil.copy(folder / WEIGHTS, tmp_path / "other.safetensors")
    (inner / INDEX).write_text(index)
    with pytest.raises(ModelError, match=message):
        weight_files(inner)
