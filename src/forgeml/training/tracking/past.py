"""What earlier processes of a run have told of it, so that nothing is told twice when it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from forgeml.errors import DataError
from forgeml.training.tracking.journal import Journal, Told, journals_in, read_journal
from forgeml.training.tracking.records import Metrics, Opened, Params, Record, Start

MEASURED = {"train.examples_per_second"}
"""Figures that differ each time a step is taken, even if all else is the same."""


@dataclass(frozen=True)
class Past:
    """What is known of a run already."""

    figures: Mapping[tuple[int, str], float] = field(default_factory=dict)
    """By step and name; of the steps that may be taken once more."""
    settings: Mapping[str, str] = field(default_factory=dict)
    unsent: tuple[Record, ...] = ()
    """What the store may lack."""

    @classmethod
    def of(cls, told: Told, step: int) -> Past:
        """What a journal tells.

        Args:
            told: by the journal.
            step: from which the run goes on.
        """
        figures: dict[tuple[int, str], float] = {}
        settings: dict[str, str] = {}
        for record in told.records:
            # Figures that belong to no step of the training have the number 0.
            if isinstance(record, Metrics) and (record.step >= step or record.step == 0):
                figures |= {(record.step, name): value for name, value in record.values.items()}
            elif isinstance(record, Params):
                settings |= record.values
        return cls(figures, settings, tuple(told.records[told.taken :]))

    def without_known(self, record: Record) -> Record | None:
        """What is new in a record; None if nothing is. A figure that comes out otherwise than before is new."""
        match record:
            case Metrics():
                values = {
                    name: value for name, value in record.values.items() if self._is_new(record.step, name, value)
                }
                return replace(record, values=values) if values else None
            case Params():
                settings = {name: value for name, value in record.values.items() if self.settings.get(name) != value}
                return Params(settings) if settings else None
        return record

    def _is_new(self, step: int, name: str, value: float) -> bool:
        before = self.figures.get((step, name))
        return before is None or (before != value and name not in MEASURED)


@dataclass(frozen=True)
class Begun:
    """A run that a process begins to tell of, or goes on with."""

    start: Start
    journal: Journal
    run_id: str = ""
    """Empty for a new run, and for one that was never opened."""
    continued: bool = False
    past: Past = field(default_factory=Past)


def begin(folder: Path, start: Start) -> Begun:
    """A new run."""
    return Begun(start, Journal.begin(folder, start))


def go_on(folder: Path, start: Start, run_id: str, step: int) -> Begun:
    """A run that is told of already, in a journal of the folder if that is still there.

    Args:
        folder: where journals lie.
        start: what this process says, with the key of the run.
        run_id: in the store; empty if the run was never opened.
        step: from which the run goes on.
    """
    for path in journals_in(folder):
        if start.key[:8] not in path.name:
            continue
        try:
            journal = Journal.reopen(path)
            told = read_journal(path)
        except (OSError, DataError):
            continue
        if told and told.start.key == start.key:
            journal.mend()
            journal.append([start])
            told.take(start)
            return Begun(told.start, journal, told.run_id or run_id, True, Past.of(told, step))
        journal.close()
    journal = Journal.begin(folder, start)
    if run_id:
        journal.append([Opened(run_id)])
    return Begun(start, journal, run_id, True)
