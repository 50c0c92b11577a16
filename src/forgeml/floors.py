"""The oldest versions of other packages that will do. They stand in pyproject.toml, and older ones have known holes."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass

from forgeml.errors import MachineError, Problem

REQUIREMENT = re.compile(r"(?P<package>[\w.-]+)\s*(?P<extras>\[[^]]*\])?\s*(?P<range>[^;]*)(?P<marker>;.*)?")
OF_EXTRA = re.compile(r"extra == ['\"](?P<extra>[\w-]+)['\"]")


@dataclass(frozen=True)
class Wanted:
    """A package that ForgeML asks for, and what is installed of it."""

    package: str
    extra: str
    """Which of ForgeML's extras installs it; empty for what all of it needs."""
    floor: str
    """The oldest version that will do; empty where any will."""
    ceiling: str
    """The first version that it was not tried with; empty where there is none."""
    found: str | None
    """The version that is installed; None where the package is not."""

    @property
    def too_old(self) -> bool:
        """Whether what is installed lacks what the code is written for."""
        return bool(self.found and self.floor) and _numbers(self.found or "") < _numbers(self.floor)

    @property
    def too_new(self) -> bool:
        """Whether what is installed came after what the code was tried with."""
        return bool(self.found and self.ceiling) and _numbers(self.found or "") >= _numbers(self.ceiling)

    def age(self) -> Problem:
        """That it is too old, and what to do about that."""
        what = f"version {self.found} is installed, {self.floor} or newer is wanted"
        return Problem(self.package, what, f"pip install --upgrade '{self.package}>={self.floor}'")


def check_floors(extra: str = "") -> None:
    """See that no package is older than ForgeML asks for. Those that are not installed are told where they are needed.

    Args:
        extra: whose packages are looked at as well, such as `train`.

    Raises:
        MachineError: with a problem for each package that is too old.
    """
    problems = [one.age() for one in wanted("", extra) if one.too_old]
    if problems:
        raise MachineError(problems)


def wanted(*extras: str) -> list[Wanted]:
    """The packages of some extras, as the installed ForgeML names them; of `""` those that all of it needs."""
    try:
        lines = importlib.metadata.requires("forgeml") or []
    except importlib.metadata.PackageNotFoundError:
        # Run from its source, without having been installed.
        return []
    return [one for one in map(_read, lines) if one is not None and one.extra in extras]


def _read(line: str) -> Wanted | None:
    """A requirement as packages write it: `torch<3,>=2.10; extra == "train"`; None for one of ForgeML's own extras."""
    parts = REQUIREMENT.fullmatch(line.strip())
    if parts is None or parts["extras"]:
        return None
    extra = OF_EXTRA.search(parts["marker"] or "")
    bounds = dict(re.findall(r"(>=|<)\s*([\w.]+)", parts["range"]))
    try:
        found = importlib.metadata.version(parts["package"])
    except importlib.metadata.PackageNotFoundError:
        found = None
    return Wanted(parts["package"], extra["extra"] if extra else "", bounds.get(">=", ""), bounds.get("<", ""), found)


def _numbers(version: str) -> list[int]:
    """The release in comparable form: 2.13.0+cpu is [2, 13]."""
    release = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in release[0].split(".")] if release else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers
