"""The oldest versions of other packages that will do. They stand in pyproject.toml, and older ones have known holes."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator

from forgeml.errors import MachineError, Problem


def check_floors(extra: str = "") -> None:
    """See that no package is older than ForgeML asks for. Those that are not installed are told where they are needed.

    Args:
        extra: whose packages are looked at as well, such as `train`.

    Raises:
        MachineError: with a problem for each package that is too old.
    """
    problems = []
    for name, floor in _floors(extra):
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if _numbers(found) < _numbers(floor):
            what = f"version {found} is installed, {floor} or newer is wanted"
            problems.append(Problem(name, what, f"pip install --upgrade '{name}>={floor}'"))
    if problems:
        raise MachineError(problems)


def _floors(extra: str) -> Iterator[tuple[str, str]]:
    """Names and lowest versions of the packages that ForgeML itself, or that extra, asks for."""
    try:
        requirements = importlib.metadata.requires("forgeml") or []
    except importlib.metadata.PackageNotFoundError:
        # Run from its source, without having been installed.
        return
    for requirement in requirements:
        package, _, marker = requirement.partition(";")
        named = re.match(r"[\w.-]+", package)
        floor = re.search(r">=\s*([\w.]+)", package)
        if named and floor and ("extra" not in marker or f'"{extra}"' in marker.replace("'", '"')):
            yield named[0], floor[1]


def _numbers(version: str) -> list[int]:
    """The release in comparable form: 2.13.0+cpu is [2, 13]."""
    release = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in release[0].split(".")] if release else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers
