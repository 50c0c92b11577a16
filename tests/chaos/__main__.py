"""Everything that must not cost a run, tried out many times; a figure each.

    python -m chaos                   # the long way, an hour and more
    python -m chaos --short           # a few of each, some minutes
    python -m chaos kills --runs 20   # one suite

What failed is told below its figure, and the exit code is 1 then. Runs of the same number are disturbed in one way.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from chaos.disks import can_mount
from chaos.figures import Figure
from chaos.suites import SUITES, try_out_part


def main() -> None:
    """Run what is asked for and print the figures."""
    options = _parser().parse_args()
    failed = False
    jobs = os.cpu_count() or 1
    # Each has a core of its own.
    os.environ["OMP_NUM_THREADS"] = "1"
    # Not forked: each part has a server of its own that its trainings are forked from.
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for name in options.suites or SUITES:
            if name == "disks" and not can_mount():
                print("disk full: not tried, as this user may not mount disks")
                continue
            runs = options.runs or (SUITES[name].short if options.short else SUITES[name].long)
            if not runs:
                print(f"{name}: its short way is among the tests")
                continue
            shares = [range(job, runs, jobs) for job in range(jobs)]
            figure = Figure.of_parts(pool.map(try_out_part, [name] * jobs, shares))
            failed = failed or not figure.of or bool(figure.failures)
            print(figure, *figure.failures, sep="\n  ", flush=True)
    sys.exit(failed)


def _parser() -> argparse.ArgumentParser:
    shown = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__, formatter_class=shown)
    parser.add_argument("suites", nargs="*", choices=[*SUITES, []], help="left out: all of them")
    parser.add_argument("--short", action="store_true", help="a few runs each")
    parser.add_argument("--runs", type=int, help="so many of each suite")
    return parser


if __name__ == "__main__":
    main()
