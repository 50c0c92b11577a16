"""Tables of the report, the turns that contenders have in each, and what was measured of them before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.job import Job
from training.materials import Rows, describe, digest, write_rows
from training.plans import CONTENDERS, SPEED, TEXTS, has_part, precision_of, turn_order

QUICK_VALIDATION = 64
"""Rows that ForgeML scores at the end of a training that is only timed."""
SPEED_SEED = 1


@dataclass(frozen=True)
class Turn:
    """One training of one contender."""

    kind: str
    turn: int
    """Number of the round, or the seed."""
    contender: str


@dataclass(frozen=True)
class Table:
    """One kind of texts and one model."""

    texts: str
    size: str
    model: Path
    train: Rows
    validation: Rows
    rows: Mapping[str, int]
    """Of `train`, by the kind of measurement."""

    def facts(self) -> dict[str, Any]:
        """What its figures depend on."""
        data = {"train": digest(self.train), "validation": digest(self.validation)}
        return {"texts": self.texts, "size": self.size, "model": describe(self.model), "data": data}

    def turns(self, rounds: Mapping[str, Sequence[int]], names: Sequence[str], device: str) -> Iterator[Turn]:
        """All trainings, in their order.

        Args:
            rounds: numbers of the rounds, and seeds, by the kind of measurement.
            names: of the contenders.
            device: to train on.
        """
        for kind, numbers in rounds.items():
            taking_part = [name for name in names if has_part(name, kind, self.size, device)]
            for place, number in enumerate(numbers if taking_part else ()):
                yield from (Turn(kind, number, name) for name in turn_order(taking_part, place))

    def job(self, turn: Turn, device: str, threads: int, work: Path) -> Job:
        """What the program of a contender is asked to do; the files are written."""
        texts, timed = TEXTS[self.texts], turn.kind == SPEED
        rows = self.train[: self.rows[turn.kind]]
        if timed:
            rows = rows[: max(1, round(len(rows) * CONTENDERS[turn.contender].share))]
        validation = self.validation[:QUICK_VALIDATION] if timed else self.validation
        return Job(
            contender=turn.contender,
            folder=str(work / "training"),
            model=str(self.model),
            train=str(write_rows(rows, work / "train.csv")),
            validation=str(write_rows(validation, work / "validation.csv")),
            max_length=texts.max_length,
            batch_size=texts.batch_size,
            precision=precision_of(turn.contender, device),
            device=device,
            threads=threads,
            seed=SPEED_SEED if timed else turn.turn,
            scored=not timed,
        )


class Kept:
    """A file with a line of JSON for each training."""

    def __init__(self, file: Path) -> None:
        """Read what is there; a line that was cut short does not count."""
        self._file = file
        self._known: list[dict[str, Any]] = []
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
            with suppress(json.JSONDecodeError):
                self._known.append(json.loads(line))

    def find(self, facts: Mapping[str, Any], turn: Turn) -> dict[str, Any] | None:
        """What was measured before under the same facts."""
        asked = {**facts, **asdict(turn)}
        return next((one for one in self._known if asked.items() <= one.items()), None)

    def add(self, found: Mapping[str, Any]) -> None:
        """Keep one more."""
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(found) + "\n")
