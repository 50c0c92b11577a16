"""Checkpoints on disk: whole, or found not to be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from forgeml.errors import MachineError
from forgeml.training.keeping import checkpoints as module
from forgeml.training.keeping.checkpoints import Checkpoints, copy_linked, find_damage, unlinked

TENSORS = {"model.weight": torch.arange(1000.0), "optimizer.weight.step": torch.tensor(3.0)}
FILES = ("best/config.json", "best/model.safetensors", "state.json", "tensors.safetensors", "checkpoint.json")


@pytest.fixture
def best(tmp_path: Path) -> Path:
    """Stands for the best model so far."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(500))
    return folder


@pytest.fixture
def kept(tmp_path: Path, best: Path) -> Checkpoints:
    """Three were written, of which two stay."""
    found = Checkpoints(tmp_path / "checkpoints", 2)
    for step in (8, 9, 10):
        found.write(step, {"settled": True, "loss": float("nan")}, TENSORS, best)
    return found


def test_newest_is_found_with_all_that_was_written(kept: Checkpoints) -> None:
    """By number, not by name; older ones than are wanted are gone."""
    newest, damaged = kept.newest()
    assert newest is not None
    assert (newest.step, damaged, kept.newest_step()) == (10, (), 10)
    assert sorted(os.listdir(kept.folder)) == ["step-10", "step-9"]
    assert newest.state["settled"]
    found = newest.tensors()
    assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())
    assert newest.best is not None
    assert sorted(os.listdir(newest.best)) == ["config.json", "model.safetensors"]


def _remove(file: Path) -> None:
    file.unlink()


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [_remove, _cut, _empty, _flip])
def test_every_damage_is_found_and_named(kept: Checkpoints, name: str, damage: Callable[[Path], None]) -> None:
    """Whatever happens to any file of the newest one, that file is named, and the one before serves."""
    # The best model is linked, so this must not reach the other checkpoint.
    file = kept.folder / "step-10" / name
    shutil.copy2(file, file.with_suffix(".copy"))
    file.with_suffix(".copy").replace(file)
    damage(file)
    newest, damaged = kept.newest()
    assert newest is not None
    assert newest.step == 9
    assert [one.folder.name for one in damaged] == ["step-10"]
    assert damaged[0].what.startswith(name)


@pytest.mark.parametrize("place", range(0, 330, 7))
def test_no_bit_of_the_manifest_can_change_unseen(kept: Checkpoints, place: int) -> None:
    """What tells whether the others are whole is itself told whole from damaged."""
    file = kept.folder / "step-10" / "checkpoint.json"
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    assert find_damage(file.parent) is not None


def test_without_a_whole_one_there_is_none(kept: Checkpoints) -> None:
    """All that are damaged are named."""
    for name in ("step-9", "step-10"):
        (kept.folder / name / "checkpoint.json").unlink()
    newest, damaged = kept.newest()
    assert newest is None
    assert [one.what for one in damaged] == ["checkpoint.json is missing"] * 2


def test_what_a_kill_left_is_no_checkpoint_and_goes_with_the_next_one(kept: Checkpoints, best: Path) -> None:
    """Folders that were being written or removed are neither taken nor told, and do not stay."""
    for name in ("step-11.new", "step-7.gone"):
        (kept.folder / name).mkdir()
    newest, damaged = kept.newest()
    assert newest is not None
    assert (newest.step, damaged) == (10, ())
    kept.write(12, {}, TENSORS, best)
    assert sorted(os.listdir(kept.folder)) == ["step-10", "step-12"]


def test_damaged_ones_do_not_count_among_those_that_stay(kept: Checkpoints, best: Path) -> None:
    """A run that went on from before a damaged one keeps what it writes itself."""
    (kept.folder / "step-10" / "tensors.safetensors").unlink()
    Checkpoints(kept.folder, keep=1).write(9, {}, TENSORS, best)
    assert os.listdir(kept.folder) == ["step-9"]


def test_one_that_cannot_be_written_leaves_the_others(
    kept: Checkpoints, best: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is told with the bytes that are needed, and nothing half written stays."""

    def full(tensors: object, file: Path) -> None:
        file.write_bytes(bytes(10))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(MachineError, match=r"No space left.*it takes 0.0 MB; .* MB were free"):
        kept.write(11, {}, TENSORS, best)
    assert sorted(os.listdir(kept.folder)) == ["step-10", "step-9"]


def test_one_that_is_not_as_it_was_written_removes_no_other(
    kept: Checkpoints, best: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before goes only when the new one has been read back."""
    publish = module.publish

    def then_flip(prepared: Path, place: Path) -> None:
        publish(prepared, place)
        _flip(place / "tensors.safetensors")

    monkeypatch.setattr(module, "publish", then_flip)
    with pytest.raises(MachineError, match=r"tensors.safetensors has another SHA-256"):
        kept.write(11, {}, TENSORS, best)
    assert sorted(os.listdir(kept.folder)) == ["step-10", "step-11", "step-9"]


def test_files_are_copied_where_the_disk_links_none(
    kept: Checkpoints, best: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network disks know no links."""

    def refuse(source: Path, target: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    kept.write(11, {}, TENSORS, best)
    newest, _ = kept.newest()
    assert newest is not None
    assert newest.step == 11


def test_removing_all_leaves_nothing(kept: Checkpoints) -> None:
    """At the end of a run its folder is as it was before."""
    (kept.folder / "step-11.new").mkdir()
    kept.remove()
    assert not kept.folder.exists()
    assert kept.newest() == (None, ())


def test_one_that_cannot_be_read_is_not_damaged(kept: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    """To pass over it would be to remove it later on; the rights of its files are those of the folder."""
    modes = {file.stat().st_mode & 0o777 for file in (kept.folder / "step-10").iterdir() if file.is_file()}
    assert len(modes) == 1

    def refuse(path: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(MachineError, match=r"cannot be read: .*Permission denied"):
        kept.newest()


def test_linked_copy_can_have_its_own_files(kept: Checkpoints, best: Path, tmp_path: Path) -> None:
    """Who writes into one of them changes no other."""
    copy_linked(best, tmp_path / "copy")
    unlinked(tmp_path / "copy")
    for file in (tmp_path / "copy").iterdir():
        assert file.stat().st_nlink == 1
        assert file.read_bytes() == (best / file.name).read_bytes()
