"""The story: one check after the other, none of which can keep the others from being made."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from forgeml.doctor.finding import Finding, Subject, Tell, from_problem, problem, warning
from forgeml.errors import ForgeError, first_line
from forgeml.events import Progress

CHECKS = (
    ("packages", "forgeml.doctor.packages"),
    ("machine", "forgeml.doctor.machine"),
    ("device", "forgeml.doctor.device"),
    ("disk", "forgeml.doctor.disks"),
    ("output", "forgeml.doctor.output"),
    ("checkpoints", "forgeml.doctor.checkpoints"),
    ("tracking", "forgeml.doctor.tracking"),
    ("cache", "forgeml.doctor.own_cache"),
    ("hub cache", "forgeml.doctor.hub_cache"),
)
"""Topics, and the modules whose `check` looks at them. A module is loaded when its turn comes, since the libraries that
it needs may be what is broken."""


def examine(subject: Subject, tell: Tell = lambda event: None) -> list[Finding]:
    """Look at everything; nothing is changed.

    Args:
        subject: what is looked at.
        tell: is given the progress, also of single checks that take long.
    """
    findings: list[Finding] = []
    for done, (topic, module) in enumerate(CHECKS):
        tell(Progress("look", done, len(CHECKS)))
        findings += _found(topic, module, subject, tell)
    tell(Progress("look", len(CHECKS), len(CHECKS)))
    return findings


def _found(topic: str, module: str, subject: Subject, tell: Tell) -> Iterator[Finding]:
    """What one check finds; an error in the middle of it becomes a finding after those before."""
    try:
        yield from importlib.import_module(module).check(subject, tell)
    except ForgeError as error:
        yield from (from_problem(topic, found) for found in error.problems)
    except ModuleNotFoundError as error:
        text = f"this was not looked at, as {error.name} is not installed"
        yield warning(topic, text, "run pip install 'forgeml[train]' if you want to train here")
    except Exception as error:  # noqa: BLE001 what is broken breaks in its own ways
        text = f"this could not be looked at: {type(error).__name__}: {first_line(error)}"
        yield problem(topic, text, "see to what is named; if it is not the machine, report it as a bug of ForgeML")
