"""The run in MLflow. Whatever goes wrong there is said once and never costs the training."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag

from forgeml.config.opening import hide_secrets
from forgeml.config.schema import MlflowConfig
from forgeml.errors import Stopped
from forgeml.events import Evaluation, StepReport
from forgeml.training.mlflow_store import (
    LONGEST_VALUE,
    OpenRun,
    Record,
    apart,
    dataset_record,
    is_refused,
    open_run,
)

MOST_WAITING = 10_000
"""Records kept for a store that is away."""
BATCH = 100
"""Records in one call; MLflow takes no more parameters or tags at once."""
PAUSE = 30.0
"""Seconds without an attempt after one that failed."""
SHARE = 20
"""An attempt that took long is followed by so many times as long without one, so that tracking costs little time."""
LONG = 1.0
"""Seconds from which an attempt took long."""
LONGEST_SEND, LONGEST_LAST_SEND = 10.0, 60.0
"""Seconds after which sending ends, during the training and at its end; what is left waits for the next time."""


class Tracker:
    """One MLflow run. What cannot be sent waits, within bounds, for the next attempt."""

    def __init__(self, config: MlflowConfig, warn: Callable[[str], None]) -> None:
        """Prepare the run that the `mlflow` section describes; `running` opens it. `warn` is told what goes wrong."""
        self.model_id = ""
        """MLflow's id of the logged model; empty as long as there is none."""
        self._config = config
        self._warn = warn
        self._run: OpenRun | None = None
        self._waiting: deque[Record] = deque()
        self._lost = 0
        self._why = "MLflow was too slow to take them"
        self._silent_until = 0.0
        self._told = False

    @property
    def run_id(self) -> str:
        """MLflow's id of the run; empty before it is open, and when it could not be opened."""
        return self._run.run_id if self._run else ""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Open the run, and close it with the status that is true: FINISHED, FAILED or KILLED."""
        try:
            self._open()
            yield
            self._finish("FINISHED")
        except (KeyboardInterrupt, Stopped):
            self._finish("KILLED")
            raise
        except BaseException as error:
            reason = "".join(traceback.format_exception_only(error)).strip()
            self._keep([_tag("forgeml.error", hide_secrets(reason))])
            self._finish("FAILED")
            raise

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """The flattened configuration as parameters."""
        self._log(lambda: [Param(name, str(value)[:LONGEST_VALUE]) for name, value in settings.items()])

    def log_facts(self, facts: Mapping[str, str]) -> None:
        """What was found rather than set, as tags `forgeml.NAME`: device, precision, model and the like."""
        self._log(lambda: [_tag(f"forgeml.{name}", value) for name, value in facts.items()])

    def log_data(self, name: str, fingerprint: str, rows: Mapping[str, int]) -> None:
        """The data set by name and fingerprint, and the number of rows in each split."""
        self._log(lambda: [_tag("forgeml.data_fingerprint", fingerprint), dataset_record(name, fingerprint, rows)])

    def log_step(self, report: StepReport, examples_per_second: float) -> None:
        """Loss, learning rate and speed of a step."""
        values = {
            "train.loss": report.loss,
            "train.learning_rate": report.learning_rate,
            "train.grad_norm": report.grad_norm,
            "train.examples_per_second": examples_per_second,
            "train.epoch": report.epoch,
        }
        self._log(lambda: _metrics(values, report.step))

    def log_evaluation(self, evaluation: Evaluation, prefix: str = "") -> None:
        """All metrics of one evaluation, as `split.metric`."""
        values = {f"{prefix}{evaluation.split}.{name}": value for name, value in evaluation.metrics.items()}
        self._log(lambda: _metrics(values, evaluation.step or 0))

    def log_model(self, folder: Path, versions: Mapping[str, str], pairs: bool = False) -> None:
        """The saved folder as an MLflow model that `mlflow models serve` opens, with ForgeML's own code beside it."""
        run = self._run
        if run is None:
            return

        def upload() -> None:
            packages = [f"{name}=={version}" for name, version in versions.items() if name not in ("python", "forgeml")]
            self.model_id = run.upload_model(folder, [*packages, "pyarrow", "pandas"], pairs)

        if problem := _attempt(upload):
            self._warn(f"the model is not in MLflow, only in {folder}: {problem}")

    def _open(self) -> None:
        def work() -> None:
            tags = {"mlflow.user": _user(), "mlflow.source.name": Path(sys.argv[0]).name, **_git_tags()}
            self._run = open_run(self._config, tags)

        if problem := _attempt(work):
            self._warn(f"no tracking, the training goes on without it: {problem}")

    def _log(self, build: Callable[[], Sequence[Record]]) -> None:
        """Send records and whatever still waits, unless the store failed a short time ago."""
        if self._run is None:
            return
        if problem := _attempt(lambda: self._keep(build())):
            self._lost, self._why = self._lost + 1, problem
        started = time.monotonic()
        if started < self._silent_until:
            return
        problem = _attempt(lambda: self._send(LONGEST_SEND))
        took = time.monotonic() - started
        self._silent_until = time.monotonic() + max(PAUSE if problem else 0, SHARE * took if took > LONG else 0)
        if problem:
            self._why = problem
            if not self._told:
                self._told = True
                self._warn(f"tracking is interrupted, the training goes on and it is tried again later: {problem}")

    def _keep(self, records: Sequence[Record]) -> None:
        self._waiting.extend(records)
        while len(self._waiting) > MOST_WAITING:
            # The oldest number: settings and facts, which come first, say more, and so do the last results.
            oldest = next((place for place, one in enumerate(self._waiting) if isinstance(one, Metric)), 0)
            del self._waiting[oldest]
            self._lost += 1

    def _send(self, seconds: float) -> None:
        assert self._run is not None
        ends, size = time.monotonic() + seconds, BATCH
        while self._waiting and time.monotonic() < ends:
            batch = list(islice(self._waiting, size))
            try:
                self._run.send(batch)
            except Exception as error:
                if not is_refused(error):
                    raise
                # One record that is never taken must not block all others: narrow it down and leave it out.
                if len(batch) > 1:
                    size = len(batch) // 2
                    continue
                self._lost, self._why = self._lost + 1, _reason(error)
            size = BATCH
            for _ in batch:
                self._waiting.popleft()

    def _finish(self, status: str) -> None:
        """Tried even after failures: a store that is back should have it all, and not show the run as running."""
        run = self._run
        if run is None:
            return
        # The status first, since somebody who stops a program may not wait for the rest.
        problem = _attempt(lambda: run.end(status))
        if problem:
            self._warn(f"MLflow shows the run {run.run_id} as running, though it is {status}: {problem}")
        else:
            problem = _attempt(lambda: self._send(LONGEST_LAST_SEND))
        if lost := self._lost + len(self._waiting):
            self._warn(f"{lost:,} records of the run {run.run_id} are not in MLflow: {problem or self._why}")


def _attempt(work: Callable[[], object]) -> str:
    """Do something in MLflow; nothing that it raises leaves here. Why it failed, or nothing."""
    try:
        with apart():
            work()
    except Exception as error:  # noqa: BLE001 MLflow and what lies under it raise what they like
        return _reason(error)
    return ""


def _reason(error: Exception) -> str:
    first_line = (str(error).strip().splitlines() or [""])[0]
    return hide_secrets(first_line) or type(error).__name__


def _tag(name: str, value: str) -> RunTag:
    return RunTag(name, value[:LONGEST_VALUE])


def _metrics(values: Mapping[str, float], step: int) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(name, value, now, step) for name, value in values.items()]


def _git_tags() -> dict[str, str]:
    """The commit of the folder that the run was started in, and whether anything there was changed since."""
    try:
        commit = _git("rev-parse", "HEAD")
        return {
            "mlflow.source.git.commit": commit,
            "forgeml.git_changed": str(bool(_git("status", "--porcelain"))).lower(),
        }
    except (OSError, subprocess.SubprocessError):
        return {}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _user() -> str:
    return os.environ.get("USER") or os.environ.get("LOGNAME") or "unknown"
