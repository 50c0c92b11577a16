"""Everything that must not cost a run, tried out many times; a figure each.

    python -m chaos                   # the long way, some hours
    python -m chaos kills --runs 20   # one suite

What failed is told below its figure, and the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from chaos.damages import damages
from chaos.disks import can_mount, disks
from chaos.figures import Figure
from chaos.kills import kills
from chaos.numbers import losses
from chaos.stops import stops, stops_during_imports
from chaos.writes import writes

SUITES: Mapping[str, tuple[Callable[[Path, int], Figure], int]] = {
    "kills": (kills, 200),
    "writes": (lambda folder, runs: writes(folder), 0),
    "damages": (lambda folder, runs: damages(folder), 0),
    "stops": (stops, 50),
    "imports": (stops_during_imports, 20),
    "disks": (disks, 50),
    "numbers": (lambda folder, runs: losses(folder, list(range(1, runs + 1))), 40),
}
"""By name: the suite, and how many runs the long way has."""


def main() -> None:
    """Run what is asked for and print the figures."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", choices=[*SUITES, []], help="left out: all of them")
    parser.add_argument("--runs", type=int, help="left out: those of the long way")
    options = parser.parse_args()
    figures = []
    for name in options.suites or SUITES:
        if name == "disks" and not can_mount():
            print("disk full: not tried, as this user may not mount disks")
            continue
        suite, runs = SUITES[name]
        with tempfile.TemporaryDirectory(prefix="forgeml-chaos-") as folder:
            figures.append(suite(Path(folder), options.runs or runs))
        print(figures[-1], *figures[-1].failures, sep="\n  ", flush=True)
    sys.exit(any(figure.failures for figure in figures))


if __name__ == "__main__":
    main()
