"""All checks one after the other: whatever is broken, each is made, and none ends in a traceback."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from forgeml.doctor import examine as module
from forgeml.doctor.examine import CHECKS, examine
from forgeml.doctor.finding import Finding, Subject, ok
from forgeml.errors import MachineError
from forgeml.events import Event, Progress

SUBJECT = Subject(Path("."), "sqlite:///mlflow.db", fast=True)


def test_every_check_says_something() -> None:
    """On this machine, in an empty folder, each check has a line, and none of them failed."""
    told: list[Event] = []
    found = examine(SUBJECT, told.append)
    assert not [one for one in found if "could not be looked at" in one.text]
    assert {topic for topic, _ in CHECKS} - {"checkpoints"} <= {one.topic for one in found}
    assert all(one.fix for one in found if one.state != "ok")
    steps = [event.done for event in told if isinstance(event, Progress) and event.task == "look"]
    assert steps == list(range(len(CHECKS) + 1))
    assert list(Path.cwd().iterdir()) == []


def test_every_module_of_the_room_is_in_the_table() -> None:
    """A check that nobody calls would be of no use."""
    room = Path(module.__file__).parent
    files = {f"forgeml.doctor.{path.stem}" for path in room.glob("*.py")} - {"forgeml.doctor.__init__"}
    helpers = {"forgeml.doctor.examine", "forgeml.doctor.finding", "forgeml.doctor.places"}
    assert files - helpers == {name for _, name in CHECKS}


@pytest.mark.parametrize(
    ("error", "state", "words"),
    [
        (OSError(5, "Input/output error"), "problem", "could not be looked at: OSError: [Errno 5] Input/output error"),
        (ValueError("bad header"), "problem", "could not be looked at: ValueError: bad header"),
        (RecursionError(), "problem", "could not be looked at: RecursionError: RecursionError"),
        (MachineError.at("here", "is wrong", "mend it"), "problem", "here: is wrong"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "warning", "torch is not installed"),
    ],
)
def test_error_in_a_check_is_a_finding(
    error: Exception, state: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found before it stands, what comes after is looked at, and the error has a line and a fix."""

    def broken(subject: Subject, tell: object) -> Iterator[Finding]:
        yield ok("first", "found before")
        raise error

    def whole(subject: Subject, tell: object) -> Iterator[Finding]:
        yield ok("last", "found after")

    def load(name: str) -> SimpleNamespace:
        if name == "none":
            raise error
        return SimpleNamespace(check=broken if name == "broken" else whole)

    monkeypatch.setattr(module, "CHECKS", (("first", "broken"), ("second", "none"), ("last", "whole")))
    monkeypatch.setattr(module.importlib, "import_module", load)
    found = examine(SUBJECT)
    assert [one.topic for one in found] == ["first", "first", "second", "last"]
    assert [one.state for one in found] == ["ok", state, state, "ok"]
    assert words in found[1].text
    assert found[1].fix


def test_modules_of_the_table_are_there() -> None:
    """Each has a check."""
    assert all(callable(importlib.import_module(name).check) for _, name in CHECKS)
