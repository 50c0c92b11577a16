"""Packages that are too old are told at the start, one line each."""

from __future__ import annotations

import importlib.metadata

import pytest

from forgeml import floors
from forgeml.cli import main as door
from forgeml.errors import MachineError
from forgeml.floors import Wanted, check_floors, wanted

REQUIRES = [
    "numpy>=2",
    "ruamel.yaml>=0.18.10",
    'torch<3,>=2.10; extra == "train"',
    "transformers<6,>=5.23; extra == 'train'",
    'forgeml[train]; extra == "optimize"',
    'uvicorn<0.55,>=0.54; extra == "serve"',
    'pytest; extra == "dev"',
]
INSTALLED = {"numpy": "2.0.1", "ruamel.yaml": "0.18.6", "torch": "2.9.1+cpu", "transformers": "5.30.0.dev0"}


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment with packages of which some are too old."""

    def version(name: str) -> str:
        if name not in INSTALLED:
            raise importlib.metadata.PackageNotFoundError(name)
        return INSTALLED[name]

    monkeypatch.setattr(importlib.metadata, "requires", lambda name: REQUIRES)
    monkeypatch.setattr(importlib.metadata, "version", version)


def test_each_package_that_is_too_old_is_a_line() -> None:
    """Name, version found, version wanted and the command; what is new enough or not installed is not told."""
    with pytest.raises(MachineError) as caught:
        check_floors("train")
    assert str(caught.value).splitlines() == [
        "ruamel.yaml: version 0.18.6 is installed, 0.18.10 or newer is wanted",
        "  fix: pip install --upgrade 'ruamel.yaml>=0.18.10'",
        "torch: version 2.9.1+cpu is installed, 2.10 or newer is wanted",
        "  fix: pip install --upgrade 'torch>=2.10'",
    ]


def test_requirements_are_read() -> None:
    """Package, extra, bounds and what is installed; ForgeML's own extras are no packages."""
    assert wanted("train", "serve", "optimize") == [
        Wanted("torch", "train", "2.10", "3", "2.9.1+cpu"),
        Wanted("transformers", "train", "5.23", "6", "5.30.0.dev0"),
        Wanted("uvicorn", "serve", "0.54", "0.55", None),
    ]
    assert [one.package for one in wanted("")] == ["numpy", "ruamel.yaml"]


@pytest.mark.parametrize(
    ("found", "old", "new"),
    [("2.9.1", True, False), ("2.10.0+cu130", False, False), ("3.0.0rc1", False, True), (None, False, False)],
)
def test_versions_out_of_range(found: str | None, old: bool, new: bool) -> None:
    """Below the floor and from the ceiling on; what is absent is neither."""
    one = Wanted("torch", "train", "2.10", "3", found)
    assert (one.too_old, one.too_new) == (old, new)


def test_doctor_looks_at_old_packages_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """It is not refused, since it is what one asks then: each old package is one of its findings."""
    assert door.run(["doctor", "--fast"]) == MachineError.exit_code
    said = capsys.readouterr()
    assert "torch: version 2.9.1+cpu is installed" in said.out
    assert "precision" in said.out
    assert said.err == ""


def test_packages_of_other_extras_do_not_matter() -> None:
    """Who only predicts may have an old torch lying about."""
    with pytest.raises(MachineError) as caught:
        check_floors()
    assert [problem.where for problem in caught.value.problems] == ["ruamel.yaml"]


@pytest.mark.parametrize(
    ("older", "newer"), [("2.9", "2.10"), ("2", "2.0.1"), ("0.18.6", "0.18.10"), ("5.2.0", "5.3.0rc1")]
)
def test_versions_are_compared_as_numbers(older: str, newer: str) -> None:
    """Ten is more than nine, and zeros at the end make no difference."""
    assert floors._numbers(older) < floors._numbers(newer)
    assert floors._numbers(f"{older}.0+cpu") == floors._numbers(older)


def test_source_that_is_not_installed_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package's own facts there is nothing to compare with."""

    def requires(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    check_floors("train")


def test_commands_check_before_they_begin(capsys: pytest.CaptureFixture[str]) -> None:
    """The command line ends with the machine's exit code and the lines, and without a traceback."""
    assert door.run(["train", "nothing.yaml"]) == MachineError.exit_code
    said = capsys.readouterr().err
    assert said.startswith("ruamel.yaml: version 0.18.6 is installed")
    assert "torch: version 2.9.1+cpu is installed" in said
    assert door.run(["predict", "nothing", "text"]) == MachineError.exit_code
    assert "torch" not in capsys.readouterr().err


def test_python_door_checks_too() -> None:
    """`from forgeml import train` is refused in the same words."""
    import forgeml

    with pytest.raises(MachineError, match=r"torch: version 2\.9\.1"):
        forgeml.__getattr__("train")
