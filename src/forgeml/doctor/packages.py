"""Which versions are installed, and whether they will do."""

from __future__ import annotations

from collections.abc import Iterator

from forgeml.doctor.finding import Finding, Subject, Tell, from_problem, ok, warning
from forgeml.floors import Wanted, wanted
from forgeml.machine import versions

NEEDED = ("", "train")
OPTIONAL = ("onnx", "openvino", "parquet", "optimize", "serve")
"""Extras that the program works without."""


def check(subject: Subject, tell: Tell) -> Iterator[Finding]:
    """Versions, those that are out of range, and what is absent."""
    found = versions()
    yield ok("packages", ", ".join(f"{name} {number}" for name, number in found.items()), versions=found)
    needed, optional = wanted(*NEEDED), wanted(*OPTIONAL)
    for one in dict.fromkeys([*needed, *optional]):
        if one.too_old:
            yield from_problem("packages", one.age())
        elif one.too_new:
            text = f"{one.package} {one.found}: ForgeML was tried with versions before {one.ceiling}"
            yield warning("packages", text, f"run pip install '{one.package}>={one.floor},<{one.ceiling}'")
    absent = _absent(needed)
    if absent:
        text = f"not installed, so that no model can be trained here: {', '.join(absent)}"
        yield warning("packages", text, "run pip install 'forgeml[train]'", absent=absent)
    left_out = _absent(optional)
    if left_out:
        yield ok("packages", f"optional and not installed: {', '.join(left_out)}", absent=left_out)


def _absent(packages: list[Wanted]) -> list[str]:
    return sorted({one.package for one in packages if one.found is None})
