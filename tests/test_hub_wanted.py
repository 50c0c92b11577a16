"""Which files of a repository are in the cache, and which are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from forgeml.hub.errors import Asked
from forgeml.hub.wanted import Wanted

COMMIT = "c" * 40
LISTED = ("config.json", "model.safetensors", "onnx/model.onnx", "README.md")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with a model of which `main` is a commit, and the listing of it, but no file."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--someone--model"
    for folder in ("refs", "trees", f"snapshots/{COMMIT}/onnx"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    files = {name: {"size": 1, "blob_id": "0" * 40} for name in LISTED}
    (repository / "trees" / f"{COMMIT}.json").write_text(json.dumps({"format_version": 1, "files": files}))
    return repository


def put(cache: Path, *names: str) -> None:
    """Put files into the commit's folder."""
    for name in names:
        (cache / "snapshots" / COMMIT / name).write_bytes(b"x")


def wanted(revision: str | None = None) -> Wanted:
    """The configuration and the weights, but none in folders."""
    return Wanted(Asked("model", "someone/model", revision), ("config.json", "*.safetensors", "*.onnx"), ("*/*",))


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_missing_files_are_told_by_name(cache: Path, revision: str | None) -> None:
    """Of the files that are meant those that are not there, whichever way the commit is asked for."""
    put(cache, "config.json", "README.md")
    assert wanted(revision).folder() == cache / "snapshots" / COMMIT
    assert wanted(revision).present() == [cache / "snapshots" / COMMIT / "config.json"]
    assert wanted(revision).missing() == ["model.safetensors"]
    put(cache, "model.safetensors")
    assert wanted(revision).missing() == []


def test_link_that_leads_nowhere_is_missing(cache: Path) -> None:
    """As after another commit's file of the same content was taken out."""
    put(cache, "config.json")
    (cache / "snapshots" / COMMIT / "model.safetensors").symlink_to("../../blobs/gone")
    assert wanted().missing() == ["model.safetensors"]


def test_without_a_listing_it_is_not_known_what_is_missing(cache: Path) -> None:
    """As other programs leave the cache, which fetch file by file."""
    put(cache, "config.json")
    [listing] = (cache / "trees").iterdir()
    listing.unlink()
    # The library remembers what it has read.
    (cache / "refs" / "main").write_text("d" * 40)
    (cache / "snapshots" / COMMIT).rename(cache / "snapshots" / ("d" * 40))
    assert wanted().missing() is None
    assert wanted().folder() == cache / "snapshots" / ("d" * 40)


def test_what_was_never_fetched_is_not_there() -> None:
    """Neither another commit, nor a branch that is not known, nor a name that no repository can have."""
    assert wanted("d" * 40).folder() is None
    assert wanted("other").folder() is None
    odd = Wanted(Asked("model", "no name", None), ("*",))
    assert (odd.folder(), odd.missing(), odd.present()) == (None, None, [])


def test_same_files_of_another_commit() -> None:
    """The patterns stay."""
    moved = wanted().at("d" * 40)
    assert moved.asked.revision == "d" * 40
    assert (moved.patterns, moved.ignored) == (wanted().patterns, wanted().ignored)
