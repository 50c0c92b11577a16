"""Versions in the doctor's report."""

from __future__ import annotations

import pytest

from doctoring import findings, states, wrong
from forgeml.doctor import packages as module
from forgeml.floors import Wanted


def installed(monkeypatch: pytest.MonkeyPatch, *packages: Wanted) -> None:
    """Let these be all that is wanted."""

    def wanted(*extras: str) -> list[Wanted]:
        return [one for one in packages if one.extra in extras]

    monkeypatch.setattr(module, "wanted", wanted)


def test_versions_are_listed() -> None:
    """Here all is in range."""
    found = findings("packages")
    assert set(states(found)) == {"ok"}
    assert found[0].facts["versions"]["torch"] in found[0].text


def test_too_old_and_too_new_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one is a problem, the other a warning, each with the command that mends it."""
    installed(monkeypatch, Wanted("torch", "train", "2.10", "3", "2.1"), Wanted("mlflow", "train", "3.17", "4", "4.0"))
    _, old, new = findings("packages")
    assert (old.state, old.fix) == ("problem", "pip install --upgrade 'torch>=2.10'")
    assert (new.state, new.fix) == ("warning", "run pip install 'mlflow>=3.17,<4'")


def test_absent_packages_are_told_by_what_they_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without those of training there is a warning; all others are optional."""
    installed(monkeypatch, Wanted("onnx", "optimize", "1", "", None), Wanted("fastapi", "serve", "1", "", None))
    assert set(states(findings("packages"))) == {"ok"}
    installed(monkeypatch, Wanted("torch", "train", "2.10", "3", None))
    one = wrong(findings("packages"))
    assert (one.state, one.facts) == ("warning", {"absent": ["torch"]})
    assert one.fix == "run pip install 'forgeml[train]'"
