"""Runs one check of the doctor on a folder."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from forgeml.doctor.finding import Finding, Subject
from forgeml.events import Event


def findings(module: str, output: Path = Path("."), **more: Any) -> list[Finding]:
    """What the check of this module finds, in its order."""
    subject = Subject(output, more.pop("uri", "sqlite:///mlflow.db"), more.pop("config", None), more.pop("fast", False))
    told: list[Event] = more.pop("told", [])
    assert not more
    return list(importlib.import_module(f"forgeml.doctor.{module}").check(subject, told.append))


def states(found: list[Finding]) -> list[str]:
    """How each of them is."""
    return [one.state for one in found]


def wrong(found: list[Finding]) -> Finding:
    """The one finding with which not all is well; it has a fix."""
    [one] = [one for one in found if one.state != "ok"]
    assert one.fix
    return one
