"""The run in MLflow. Whatever goes wrong there is said once and never costs the training."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import mlflow
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import DatasetInput, Metric, Param, RunTag
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import ColSpec, DataType, Schema

from forgeml.config.schema import MlflowConfig
from forgeml.errors import Stopped
from forgeml.records import Evaluation, StepReport

PACKAGE = Path(__file__).parents[1]
LOADER = "forgeml.inference.pyfunc"
"""Module by which MLflow opens the logged model: code instead of a pickle."""

LONGEST_VALUE = 6000
"""Characters that MLflow stores of a parameter or a tag."""
LONGEST_DIGEST = 36
"""Characters that MLflow stores of a data set's digest."""

# A server that is away must not hold up the run: MLflow's own retries last about four minutes a call.
for variable, value in {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}.items():
    os.environ.setdefault(variable, value)

# The making of a new SQLite file is told step by step otherwise.
for chatty in ("mlflow", "alembic"):
    logging.getLogger(chatty).setLevel(logging.ERROR)


def store_uri(tracking_uri: str) -> str:
    """The store behind `mlflow.tracking_uri`: a folder, which MLflow no longer writes to, holds a SQLite file."""
    parsed = urlparse(tracking_uri)
    if parsed.scheme not in ("", "file"):
        return tracking_uri
    folder = Path(unquote(parsed.netloc + parsed.path) if parsed.scheme else tracking_uri).expanduser()
    return f"sqlite:///{folder / 'mlflow.db'}"


def artifact_place(uri: str) -> str | None:
    """Where the runs' files go: beside a SQLite file; a server knows its own place."""
    if not uri.startswith("sqlite:///"):
        return None
    folder = Path(uri.removeprefix("sqlite:///")).resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / "mlruns").as_uri()


class Tracker:
    """One MLflow run. After the first failure nothing more is sent but the final status."""

    def __init__(self, config: MlflowConfig, warn: Callable[[str], None]) -> None:
        """Open the run described by the `mlflow` section; `warn` is told why, if tracking has to stop."""
        self.uri = store_uri(config.tracking_uri)
        self.run_id: str = ""
        """MLflow's id of the run; empty when it could not be opened."""
        self._warn = warn
        self._works = True
        self._send(lambda: self._open(config))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Close the run with the status that is true: FINISHED, FAILED or KILLED."""
        try:
            yield
        except (KeyboardInterrupt, Stopped):
            self._finish("KILLED")
            raise
        except BaseException as error:
            reason = "".join(traceback.format_exception_only(error)).strip()[:LONGEST_VALUE]
            self._send(lambda: self._client.set_tag(self.run_id, "forgeml.error", reason))
            self._finish("FAILED")
            raise
        self._finish("FINISHED")

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """The flattened configuration as parameters."""
        parameters = [Param(name, str(value)[:LONGEST_VALUE]) for name, value in settings.items()]
        self._send(lambda: self._client.log_batch(self.run_id, params=parameters))

    def log_data(self, name: str, fingerprint: str, rows: Mapping[str, int]) -> None:
        """The data set by name and fingerprint, and the number of rows in each split."""
        source = CodeDatasetSource(
            tags={"name": name, **{f"rows.{split}": str(count) for split, count in rows.items()}}
        )
        dataset = MetaDataset(source, name=name, digest=fingerprint[:LONGEST_DIGEST])  # type: ignore[abstract]
        inputs = [DatasetInput(dataset._to_mlflow_entity(), tags=[])]
        self._send(lambda: self._client.log_inputs(self.run_id, datasets=inputs))
        self._send(lambda: self._client.set_tag(self.run_id, "forgeml.data_fingerprint", fingerprint))

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

    def log_model(self, folder: Path, versions: Mapping[str, str]) -> None:
        """The saved folder as an MLflow model that `mlflow models serve` opens, with ForgeML's own code beside it."""
        requirements = [f"{name}=={version}" for name, version in versions.items() if name not in ("python", "forgeml")]
        with _store(self.uri), warnings.catch_warnings(action="ignore"):
            self._send(lambda: self._log_model(folder, [*requirements, "pyarrow", "pandas"]))

    def _open(self, config: MlflowConfig) -> None:
        self._client = mlflow.MlflowClient(self.uri)
        run = self._client.create_run(self._experiment(config.experiment_name), run_name=config.run_name)
        self.run_id = run.info.run_id
        tags = {"mlflow.user": _user(), "mlflow.source.name": Path(sys.argv[0]).name, **_git_tags()}
        self._client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def _log_model(self, folder: Path, requirements: list[str]) -> None:
        experiment = self._client.get_run(self.run_id).info.experiment_id
        # Made beforehand, since `Model.log` would put a model of its own making into the process-wide experiment.
        logged = self._client.create_logged_model(experiment, "model", self.run_id, model_type="classifier")
        Model.log(
            artifact_path=None,
            model_id=logged.model_id,
            flavor=mlflow.pyfunc,
            run_id=self.run_id,
            loader_module=LOADER,
            data_path=str(folder),
            code_paths=[str(PACKAGE)],
            pip_requirements=requirements,
            signature=ModelSignature(inputs=Schema([ColSpec(DataType.string, "text")])),
        )

    def _experiment(self, name: str) -> str:
        known = self._client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        return str(self._client.create_experiment(name, artifact_location=artifact_place(self.uri)))

    def _log_metrics(self, values: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value in values.items()]
        self._send(lambda: self._client.log_batch(self.run_id, metrics=metrics))

    def _finish(self, status: str) -> None:
        # Tried even after a failure: a server that is back should not show the run as running for ever.
        self._works = bool(self.run_id)
        self._send(lambda: self._client.set_terminated(self.run_id, status))

    def _send(self, work: Callable[[], object]) -> None:
        """Do something in MLflow; nothing that it raises leaves here."""
        if not self._works:
            return
        try:
            work()
        except Exception as error:  # noqa: BLE001 MLflow and what lies under it raise what they like
            self._works = False
            self._warn(f"tracking stopped, the training goes on: {_first_line(error)}")


@contextmanager
def _store(uri: str) -> Iterator[None]:
    """Point MLflow's process-wide setting to our store for as long as it is needed."""
    previous = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(previous)


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


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
