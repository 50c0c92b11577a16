"""The hub's cache in the doctor's report."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from doctoring import findings, states
from forgeml.doctor import hub_cache as module
from forgeml.events import Event, Progress

LARGE, SMALL = b"weights " * 10_000, b'{"a": 1}'


def of_git(content: bytes) -> str:
    """The hash by which git, and so the hub, calls a small file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with one model as the hub's client stores it."""
    places = {"HF_HUB_CACHE": tmp_path / "hub", "HF_DATASETS_CACHE": tmp_path / "datasets"}
    monkeypatch.setattr(module, "cache_places", lambda: places)
    model = tmp_path / "hub" / "models--someone--some-model"
    snapshot = model / "snapshots" / ("c" * 40)
    (model / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for name, content, digest in (
        ("model.safetensors", LARGE, hashlib.sha256(LARGE).hexdigest()),
        ("config.json", SMALL, of_git(SMALL)),
    ):
        (model / "blobs" / digest).write_bytes(content)
        (snapshot / name).symlink_to(Path("..", "..", "blobs", digest))
    return tmp_path / "hub"


def blobs(hub: Path) -> list[Path]:
    """The stored files, the one of the small name last."""
    return sorted((hub / "models--someone--some-model" / "blobs").iterdir(), key=lambda blob: -len(blob.name))


def test_empty_cache_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was fetched yet."""
    monkeypatch.setattr(
        module, "cache_places", lambda: {"HF_HUB_CACHE": tmp_path / "a", "HF_DATASETS_CACHE": tmp_path / "b"}
    )
    [one] = findings("hub_cache")
    assert (one.state, one.facts["repositories"]) == ("ok", [])


def test_whole_files_are_fine(hub: Path) -> None:
    """Each is read once, with progress in bytes."""
    (hub.parent / "datasets" / "imdb").mkdir(parents=True)
    told: list[Event] = []
    found = findings("hub_cache", told=told)
    assert states(found) == ["ok", "ok"]
    assert "1 models and data sets" in found[0].text
    assert "2 files, each compared with its hash" in found[0].text
    last = told[-1]
    assert isinstance(last, Progress)
    assert last.done == last.total == len(LARGE) + len(SMALL)


@pytest.mark.parametrize("which", [0, 1], ids=["by SHA-256", "by git's SHA-1"])
def test_flipped_bit_is_found(hub: Path, which: int) -> None:
    """The model and the file are named, and the command after which it is fetched again."""
    blob = blobs(hub)[which]
    content = bytearray(blob.read_bytes())
    content[5] ^= 1
    blob.write_bytes(content)
    [whole, one] = findings("hub_cache")
    assert (one.state, one.fix) == ("problem", f"run rm {blob}, and it is fetched again")
    assert one.text.startswith(f"someone/some-model: {blob} is not what was fetched")
    assert whole.facts["damaged"] == [str(blob)]


def test_haste_reads_no_files(hub: Path) -> None:
    """Then a damage is not seen, and the line says that nothing was compared."""
    blobs(hub)[0].write_bytes(b"")
    told: list[Event] = []
    [one] = findings("hub_cache", fast=True, told=told)
    assert (one.state, told) == ("ok", [])
    assert "names alone looked at" in one.text


def test_halves_and_lost_files_are_told(hub: Path) -> None:
    """What was still on its way, and names whose file is gone."""
    (blobs(hub)[0].with_name("d" * 64 + ".incomplete")).write_bytes(b"x" * 5000)
    blobs(hub)[-1].unlink()
    (hub / "version.txt").write_text("1")
    [_, half, lost] = findings("hub_cache")
    assert (half.state, lost.state) == ("warning", "warning")
    assert "1 files that were not fetched to their end, 5 kB" in half.text
    assert "config.json leads to a file that is gone" in lost.text
    assert lost.fix.startswith(f"run rm -r {hub / 'models--someone--some-model'}")
