"""Folders that are written to, in the doctor's report."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from doctoring import findings, wrong
from forgeml.doctor import disks as module
from forgeml.doctor.disks import FULL, NEARLY_FULL
from forgeml.doctor.finding import Finding

PLENTY = SimpleNamespace(free=10**12, total=2 * 10**12)


@pytest.fixture(autouse=True)
def _plenty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disks with much room."""
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: PLENTY)


def of(name: str, found: list[Finding]) -> Finding:
    """The finding on one folder."""
    [one] = [one for one in found if one.facts.get("name") == name]
    return one


def test_each_folder_has_a_line(tmp_path: Path) -> None:
    """Output, caches, temporary files and the tracking store, the ones that are not there yet too."""
    found = findings("disks", tmp_path / "new", uri=f"sqlite:///{tmp_path}/store/mlflow.db")
    assert {one.state for one in found} == {"ok"}
    names = [one.facts["name"] for one in found]
    assert names == ["output", "cache", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "tracking", "temporary"]
    assert of("output", found).facts["folder"] == str(tmp_path / "new")
    assert of("tracking", found).facts["folder"] == str(tmp_path / "store")
    assert "1,000.0 GB free" in found[0].text


def test_server_has_no_folder_here() -> None:
    """Only a store that is a file lies on a disk of this machine."""
    assert "tracking" not in [one.facts["name"] for one in findings("disks", uri="http://localhost:5000")]


@pytest.mark.parametrize(("free", "state"), [(FULL - 1, "problem"), (NEARLY_FULL - 1, "warning"), (NEARLY_FULL, "ok")])
def test_little_room(free: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly any is a problem, little a warning, each with the setting that leads elsewhere."""
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free, total=10**12))
    found = findings("disks")
    assert {one.state for one in found} == {state}
    if state != "ok":
        assert "set HF_HUB_CACHE to a folder on another disk" in of("HF_HUB_CACHE", found).fix
        assert "set output_dir" in of("output", found).fix


def test_no_file_more_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk may have room and no entries left for files."""
    monkeypatch.setattr(module.os, "statvfs", lambda folder: SimpleNamespace(f_files=10, f_favail=0))
    assert {one.state for one in findings("disks")} == {"problem"}


def test_folders_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that can only be read is a warning, since what is in it serves; an output folder is a problem."""
    monkeypatch.setattr(module.os, "access", lambda folder, mode: False)
    found = findings("disks")
    assert {one.facts["name"] for one in found if one.state == "problem"} == {"output", "temporary"}
    assert {one.state for one in found} == {"problem", "warning"}


def test_no_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one, caches would lie in a folder called ~ wherever the program runs."""
    monkeypatch.setattr(module.os.path, "expanduser", lambda path: path)
    assert wrong(findings("disks")).fix == "set HOME to a folder that can be written"


def test_no_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """That there is none is told with the variable."""

    def refuse() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(module.tempfile, "gettempdir", refuse)
    one = wrong(findings("disks"))
    assert one.fix.startswith("set TMPDIR")
    assert "No usable temporary directory" in one.text
    assert os.path.isdir("/")
