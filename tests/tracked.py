"""What tests of tracking share: stores that are made quickly, what stands in them, and a short run to tell of."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import mlflow
import pytest

from forgeml.events import Evaluation, StepReport
from forgeml.training.tracking import run, sending
from forgeml.training.tracking.tracker import Tracker

MODEL_STATES = {1: "PENDING", 2: "READY", 3: "FAILED"}
OWN_TAGS = {"forgeml.key", "mlflow.runName", "forgeml.git_changed", "mlflow.source.git.commit"}
MEASURED = "train.examples_per_second"


@dataclass(frozen=True)
class Stored:
    """A run as it stands in a store."""

    status: str
    name: str
    times: tuple[int, int | None]
    """Of its beginning and its end."""
    figures: list[tuple[str, int, float, int]]
    """Name, step, value and time of each metric, sorted."""
    params: Mapping[str, str]
    tags: Mapping[str, str]
    data: list[str]
    models: list[str]
    """Status of each."""

    @property
    def told(self) -> tuple[Any, ...]:
        """What must be the same however the records came here."""
        figures = [(name, step, 0.0 if name == MEASURED else value) for name, step, value, _ in self.figures]
        tags = {name: value for name, value in self.tags.items() if name not in OWN_TAGS}
        return self.status, figures, self.params, tags, self.data


def new_store(folder: Path, name: str = "mlflow.db") -> str:
    """Address of an empty SQLite store; MLflow takes seconds to make one, a copy none."""
    shutil.copy(_empty(), folder / name)
    return f"sqlite:///{folder / name}"


def stored(uri: str) -> dict[str, Stored]:
    """All runs of a SQLite store by their ids, read without MLflow."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as base:

        def rows(what: str, table: str, run_id: str, column: str = "run_uuid") -> list[Any]:
            return base.execute(f"SELECT {what} FROM {table} WHERE {column} = ? ORDER BY 1, 2", [run_id]).fetchall()

        found = base.execute("SELECT run_uuid, status, name, start_time, end_time FROM runs").fetchall()
        return {
            run_id: Stored(
                status,
                name,
                (start, end),
                rows("key, step, value, timestamp", "metrics", run_id),
                dict(rows("key, value", "params", run_id)),
                dict(rows("key, value", "tags", run_id)),
                [
                    one
                    for one, _ in rows(
                        "name, digest",
                        "datasets d JOIN inputs i ON i.source_id = d.dataset_uuid",
                        run_id,
                        "i.destination_id",
                    )
                ],
                [
                    MODEL_STATES[state]
                    for state, stage in rows("status, lifecycle_stage", "logged_models", run_id, "source_run_id")
                    if stage == "active"
                ],
            )
            for run_id, status, name, start, end in found
        }


def only(uri: str) -> Stored:
    """The one run of a SQLite store."""
    (found,) = stored(uri).values()
    return found


def report(step: int) -> StepReport:
    """A step with figures of its own."""
    return StepReport(step, 1000, step / 100, 1 / step, 1e-3 / step, 1.0, 16, 0.1)


def tell_beginning(tracker: Tracker) -> None:
    """What a training tells before its first step."""
    tracker.log_settings({"training.seed": 42, "model.name": "tiny"})
    tracker.log_data("reviews", "f" * 64, {"train": 3})
    tracker.log_facts({"device": "cpu"})


def tell_steps(tracker: Tracker, steps: Iterable[int], speed: float = 100.0) -> None:
    """What it tells of some steps; every tenth is evaluated."""
    for step in steps:
        tracker.log_step(report(step), speed)
        if step % 10 == 0:
            tracker.log_evaluation(Evaluation("validation", 3, {"accuracy": 1 - 1 / step, "loss": 2 / step}, step, 1.0))


def hasten(monkeypatch: pytest.MonkeyPatch) -> None:
    """All waiting takes parts of a second."""
    for name, seconds in (("EVERY", 0.02), ("FIRST_PAUSE", 0.02), ("LONGEST_PAUSE", 0.1)):
        monkeypatch.setattr(sending, name, seconds)
    monkeypatch.setattr(run, "OPENING_S", 0.5)
    monkeypatch.setattr(run, "LAST_IN_DOUBT_S", 0.5)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@cache
def _empty() -> Path:
    path = Path(mkdtemp(prefix="forgeml-store-")) / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path
