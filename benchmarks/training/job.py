"""What one program is asked to do, and what it tells afterwards: two files of JSON in a folder of its own."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

EPOCHS = 1
JOB, RESULT = "job.json", "result.json"


@dataclass(frozen=True)
class Job:
    """One training. The rate falls to zero in a line, without warm-up and weight decay, as is usual in the library."""

    contender: str
    folder: str
    """For whatever the program writes; empty but for the job itself."""
    model: str
    train: str
    """CSV file with the columns text and label."""
    validation: str
    max_length: int
    batch_size: int
    precision: str
    device: str
    threads: int
    seed: int
    scored: bool
    """Whether accuracy on validation is wanted; else the program is only timed."""
    launched: float = 0.0
    """When its process was started, as `time.monotonic` tells."""
    busy: float | None = None
    """What `busy_seconds` told at that moment."""

    @property
    def learning_rate(self) -> float:
        """High enough that a small model learns something from few texts, where it is scored."""
        return 2e-4 if self.scored else 5e-5

    def write(self) -> Path:
        """Write the job into its folder."""
        file = Path(self.folder, JOB)
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return file


def read_job() -> Job:
    """The job that the command line names."""
    return Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))


def write_result(job: Job, figures: dict[str, Any]) -> None:
    """Leave what was measured for the process that asked."""
    Path(job.folder, RESULT).write_text(json.dumps(figures), encoding="utf-8")


def read_rows(file: str) -> tuple[list[str], list[str]]:
    """Texts and labels."""
    csv.field_size_limit(10**9)
    with open(file, encoding="utf-8", newline="") as lines:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(lines)]
    return [text for text, _ in rows], [label for _, label in rows]
