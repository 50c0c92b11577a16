"""The run in MLflow. Whatever goes wrong there is said once, never costs the training, and loses nothing.

Each record goes to the journal first and then to a thread that has the store to itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forgeml.config.opening import hide_secrets
from forgeml.config.schema import MlflowConfig
from forgeml.errors import Stopped
from forgeml.events import Evaluation, StepReport
from forgeml.training.holder import Holder
from forgeml.training.tracking.journal import FOLDER
from forgeml.training.tracking.manners import drawn_name, manners
from forgeml.training.tracking.past import begin, go_on
from forgeml.training.tracking.records import Data, Metrics, Model, Params, Record, Start, Tags
from forgeml.training.tracking.run import LAST_S, LAST_STOPPED_S, TrackedRun
from forgeml.training.tracking.sending import attempt
from forgeml.training.tracking.store import whole_uri


class Tracker:
    """One MLflow run. Each record goes to the journal first, and then to a thread that has the store to itself."""

    def __init__(
        self,
        config: MlflowConfig,
        output: Path,
        warn: Callable[[str], None],
        continued: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare the run that the `mlflow` section describes; `running` opens it.

        Args:
            config: where the run is tracked.
            output: folder that the training writes to; its journal lies in `tracking/` there.
            warn: is told what goes wrong, in the thread that the tracker is used in.
            continued: the `state` of a run that goes on; left out: a new run.
        """
        self._config, self._folder, self._warn = config, output / FOLDER, warn
        self._continued = continued
        self._run: TrackedRun | None = None
        self._step = 0

    @property
    def run_id(self) -> str:
        """MLflow's id of the run; empty before it is open, and as long as it could not be opened."""
        return self._run.run_id if self._run else ""

    @property
    def model_id(self) -> str:
        """MLflow's id of the logged model; empty as long as there is none."""
        return self._run.model_id if self._run else ""

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps so that the run can go on from there; JSON takes it. Empty if nothing is tracked."""
        return {**self._run.state, "step": self._step} if self._run else {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Open the run, and close it with the status that is true: FINISHED, FAILED or KILLED."""
        with manners():
            try:
                if problem := attempt(self._begin):
                    self._warn(f"no tracking, the training goes on without it: {problem}")
                yield
            except (KeyboardInterrupt, Stopped):
                self._finish("KILLED", LAST_STOPPED_S)
                raise
            except BaseException as error:
                reason = "".join(traceback.format_exception_only(error)).strip()
                self._log(_tags({"forgeml.error": reason}))
                self._finish("FAILED", LAST_S)
                raise
            else:
                self._finish_whole()

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """The flattened configuration as parameters."""
        self._log(Params({name: hide_secrets(str(value)) for name, value in settings.items()}))

    def log_facts(self, facts: Mapping[str, str]) -> None:
        """What was found rather than set, as tags `forgeml.NAME`: device, precision, model and the like."""
        self._log(_tags({f"forgeml.{name}": value for name, value in facts.items()}))

    def log_data(self, name: str, fingerprint: str, rows: Mapping[str, int]) -> None:
        """The data set by name and fingerprint, and the number of rows in each split."""
        self._log(_tags({"forgeml.data_fingerprint": fingerprint}))
        self._log(Data(hide_secrets(name), fingerprint, dict(rows)))

    def log_step(self, report: StepReport, examples_per_second: float) -> None:
        """Loss, learning rate and speed of a step."""
        values = {
            "train.loss": report.loss,
            "train.learning_rate": report.learning_rate,
            "train.grad_norm": report.grad_norm,
            "train.examples_per_second": examples_per_second,
            "train.epoch": report.epoch,
        }
        self._log_metrics(values, report.step)

    def log_evaluation(self, evaluation: Evaluation, prefix: str = "") -> None:
        """All metrics of one evaluation, as `split.metric`."""
        values = {f"{prefix}{evaluation.split}.{name}": value for name, value in evaluation.metrics.items()}
        self._log_metrics(values, evaluation.step or 0)

    def log_model(self, folder: Path, versions: Mapping[str, str], pairs: bool = False) -> None:
        """The saved folder as an MLflow model that `mlflow models serve` opens, with ForgeML's own code beside it.

        This waits for the store, which may need minutes for a large model.
        """
        run = self._run
        if run is None:
            return
        packages = [f"{name}=={version}" for name, version in versions.items() if name not in ("python", "forgeml")]
        model = Model.of(folder, [*packages, "pyarrow", "pandas"], pairs)
        if problem := attempt(lambda: run.upload(model)):
            self._warn(f"the model is not in MLflow, only in {folder}: {problem}")

    def _begin(self) -> None:
        state, uri = self._continued, whole_uri(self._config.tracking_uri)
        start = Start(
            key=state["key"] if state else uuid.uuid4().hex,
            store=hide_secrets(uri),
            experiment=self._config.experiment_name,
            run_name=self._config.run_name or drawn_name(),
            time=_now(),
            tags={"mlflow.user": _user(), "mlflow.source.name": Path(sys.argv[0]).name, **_git_tags()},
            owner=Holder.this(),
        )
        if state:
            self._step = state["step"]
            begun = go_on(self._folder, start, state["run_id"], self._step)
        else:
            begun = begin(self._folder, start)
        # Whoever stops the program from here on wants the run to be closed.
        self._run = TrackedRun(begun, uri, self._warn)
        self._run.open()

    def _finish_whole(self) -> None:
        """All has been done, so a signal only cuts the wait for the store short."""
        try:
            self._finish("FINISHED", LAST_S)
        except (KeyboardInterrupt, Stopped):
            self._warn("stopped while MLflow was waited for; forgeml sync sends what it does not have")

    def _finish(self, status: str, seconds: float) -> None:
        run = self._run
        if run and (problem := attempt(lambda: run.finish(status, seconds))):
            self._warn(f"tracking ended with a fault, see forgeml sync: {problem}")

    def _log(self, record: Record) -> None:
        run = self._run
        if run and (problem := attempt(lambda: run.log(record))):
            self._warn(f"a record is not in MLflow: {problem}")

    def _log_metrics(self, values: Mapping[str, float], step: int) -> None:
        self._step = max(self._step, step)
        self._log(Metrics({name: float(value) for name, value in values.items()}, step, _now()))


def _tags(values: Mapping[str, str]) -> Tags:
    return Tags({name: hide_secrets(str(value)) for name, value in values.items()})


def _now() -> int:
    return int(time.time() * 1000)


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
