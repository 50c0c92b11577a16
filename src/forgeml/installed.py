"""Which packages are installed, and whether they are as new as ForgeML is written for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from forgeml.errors import MachineError, Problem

REQUIREMENT = re.compile(r"(?P<package>[\w.-]+)\s*(?P<extras>\[[^]]*\])?\s*(?P<range>[^;]*)(?P<marker>;.*)?")
OF_EXTRA = re.compile(r"extra == ['\"](?P<extra>[\w-]+)['\"]")


@dataclass(frozen=True)
class Wanted:
    """A package that ForgeML uses, and its version as far as it is installed."""

    package: str
    extra: str
    """Which of ForgeML's extras installs it; empty for what all of it needs."""
    floor: str
    """The oldest version that will do; empty where any will."""
    ceiling: str
    """The first version that is not known to do; empty where there is none."""
    found: str | None
    """The version that is installed; None where the package is not."""

    @property
    def too_old(self) -> bool:
        """Whether what is installed lacks what the code is written for."""
        return bool(self.found and self.floor) and _order(self.found or "") < _order(self.floor)

    @property
    def too_new(self) -> bool:
        """Whether what is installed came after what the code was tried with."""
        return bool(self.found and self.ceiling) and _order(self.found or "") >= _order(self.ceiling)


def wanted(extras: Sequence[str], of: str = "forgeml") -> list[Wanted]:
    """The packages of some extras, `""` for what all of it needs, as the installed ForgeML names them."""
    try:
        lines = requires(of) or []
    except PackageNotFoundError:
        # It runs from a folder of sources that was never installed.
        return []
    return [one for line in lines if (one := _read(line)) and one.extra in extras]


def check_installed(extras: Sequence[str]) -> None:
    """See that no package of these extras is older than the code is written for; what is not there is not looked at.

    Raises:
        MachineError: one problem a package.
    """
    old = [one for one in wanted(extras) if one.too_old]
    if old:
        raise MachineError([too_old(one) for one in old])


def too_old(one: Wanted) -> Problem:
    """What is wrong with a package that is too old."""
    what = f"version {one.found} is installed, and {one.floor} or newer is needed"
    return Problem(one.package, what, f"run pip install --upgrade '{one.package}>={one.floor}'")


def _read(line: str) -> Wanted | None:
    """A requirement as packages write it: `torch<3,>=2.10; extra == "train"`; None for one of ForgeML's own extras."""
    parts = REQUIREMENT.fullmatch(line.strip())
    if parts is None or parts["extras"]:
        return None
    extra = OF_EXTRA.search(parts["marker"] or "")
    bounds = dict(re.findall(r"(>=|<)\s*([\w.]+)", parts["range"]))
    try:
        found = version(parts["package"])
    except PackageNotFoundError:
        found = None
    return Wanted(parts["package"], extra["extra"] if extra else "", bounds.get(">=", ""), bounds.get("<", ""), found)


def _order(text: str) -> list[int]:
    """The release as numbers, without what marks builds and versions on the way to one: `2.13.0+cpu`, `6.0.dev0`."""
    release = re.match(r"[\d.]*", text)
    numbers = [int(part) for part in (release[0] if release else "").split(".") if part]
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers
