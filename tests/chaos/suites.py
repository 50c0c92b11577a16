"""The suites of faults by name."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import transformers

from chaos.damages import damages
from chaos.disks import disks
from chaos.figures import Figure
from chaos.hub import hub
from chaos.kills import kills
from chaos.numbers import losses
from chaos.outages import outages
from chaos.pairs import pairs
from chaos.stops import stops, stops_during_imports
from chaos.writes import writes
from hub_faults import FAULTS


@dataclass(frozen=True)
class Suite:
    """One kind of fault."""

    try_out: Callable[[Path, range], Figure]
    """Is given an empty folder and the numbers of its runs."""
    short: int
    """Runs that it has with `--short`; 0 where `make test` has a short way of its own."""
    long: int


SUITES: Mapping[str, Suite] = {
    "kills": Suite(kills, 20, 200),
    "writes": Suite(writes, 6, 400),
    "damages": Suite(damages, 60, 60),
    "stops": Suite(stops, 6, 50),
    "imports": Suite(stops_during_imports, 2, 20),
    "disks": Suite(disks, 6, 50),
    "numbers": Suite(losses, 4, 30),
    "pairs": Suite(pairs, 0, 20),
    "outages": Suite(outages, 0, 20),
    "hub": Suite(hub, 0, len(FAULTS)),
}


def try_out_part(name: str, numbers: range) -> Figure:
    """Some runs of a suite, in a process of their own."""
    # On the tiny models that are written here, and on the steps in which MLflow makes a store.
    transformers.logging.disable_progress_bar()
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory(prefix="forgeml-chaos-") as folder:
        return SUITES[name].try_out(Path(folder), numbers)
