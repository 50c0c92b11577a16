"""What a check finds, and what it is given to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from forgeml.config.schema import Config
from forgeml.errors import Problem
from forgeml.events import Event

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    topic: str
    state: State
    text: str
    fix: str = ""
    """What to do about it; empty where there is nothing to be done."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs, as JSON takes it."""


Tell = Callable[[Event], None]


@dataclass(frozen=True)
class Subject:
    """What is looked at."""

    output: Path
    """The output folder, which need not be there."""
    tracking_uri: str
    config: Config | None = None
    """None where there is no configuration, or none that can be read."""
    fast: bool = False
    """Whether to leave out what reads large files."""


def ok(topic: str, text: str, **facts: Any) -> Finding:  # noqa: ANN401 whatever JSON takes
    """A finding with which all is well."""
    return Finding(topic, "ok", text, "", facts)


def warning(topic: str, text: str, fix: str, **facts: Any) -> Finding:  # noqa: ANN401
    """A finding that costs time or room, and keeps nothing from working."""
    return Finding(topic, "warning", text, fix, facts)


def problem(topic: str, text: str, fix: str, **facts: Any) -> Finding:  # noqa: ANN401
    """A finding that keeps something from working, or makes it wrong."""
    return Finding(topic, "problem", text, fix, facts)


def from_problem(topic: str, found: Problem) -> Finding:
    """What an error of ForgeML says."""
    return problem(topic, f"{found.where}: {found.what}", found.fix)


def size(count: int) -> str:
    """A size in bytes as people read it."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count / 1e3:,.0f} kB"
