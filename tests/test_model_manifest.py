"""`forgeml.json`, read without torch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forgeml.errors import ModelError
from forgeml.model.manifest import check_files, file_hashes, read_manifest


def test_folder_of_another_program_has_none(tmp_path: Path) -> None:
    """What is not there is empty."""
    assert read_manifest(tmp_path) == {}


@pytest.mark.parametrize("name", ["../secret", "/etc/hosts", "onnx/../../x"])
def test_paths_out_of_the_folder_are_refused(saved: Path, name: str) -> None:
    """A manifest names files of its own folder only."""
    manifest = json.loads((saved / "forgeml.json").read_text())
    manifest["files"][name] = "0" * 64
    (saved / "forgeml.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="no path inside the folder"):
        read_manifest(saved)


def test_only_the_files_asked_for_are_looked_at(saved: Path) -> None:
    """Weights that one engine does not read need not be there for it."""
    files = read_manifest(saved)["files"]
    (saved / "model.safetensors").unlink()
    (saved / "README.md").write_text("mine")
    check_files(saved, files, ["tokenizer.json", "README.md", "not-known.txt"])
    with pytest.raises(ModelError, match=r"files are missing: model\.safetensors"):
        check_files(saved, files, files)


def test_files_in_folders_have_hashes(saved: Path) -> None:
    """Each file but the manifest is there by its path in the folder."""
    (saved / "onnx").mkdir()
    (saved / "onnx" / "model.onnx").write_bytes(b"model")
    found = file_hashes(saved)
    assert {"onnx/model.onnx", "config.json"} < found.keys()
    assert "forgeml.json" not in found
