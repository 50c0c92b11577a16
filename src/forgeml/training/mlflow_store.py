"""The calls to MLflow itself: open a run, send records, upload the model. All of them may raise; `tracking` catches."""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import mlflow
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import DatasetInput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.tracking._tracking_service.utils import _use_tracking_uri
from mlflow.types.schema import ColSpec, DataType, Schema

from forgeml.config.schema import MlflowConfig

PACKAGE = Path(__file__).parents[1]
TEXTS = {False: ("text",), True: ("text", "text_pair")}
"""Columns that a model takes: one of single texts, one of pairs. MLflow drops those that are not named."""
LOADER = "forgeml.inference.pyfunc"
"""Module by which MLflow opens the logged model: code instead of a pickle."""

LONGEST_VALUE = 6000
"""Characters that MLflow stores of a parameter or a tag."""
LONGEST_DIGEST = 36
"""Characters that MLflow stores of a data set's digest."""

TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
# A server that is away must not hold up the run: MLflow's own retries last about four minutes a call.
# And the library does not print; what is printed belongs to the command line.
MANNERS = {
    TIMEOUT: "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
UPLOAD_SECONDS = 900
"""How long a server may take to put away one file of the model before it answers."""
SQLITE_SECONDS = 3
"""How long another process may keep the SQLite file locked while the run is opened."""

REFUSALS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST"}
"""MLflow's words for records that no second attempt will make acceptable."""

Record = Metric | Param | RunTag | DatasetInput

# The making of a new SQLite file is told step by step otherwise.
for chatty in ("mlflow", "alembic"):
    logging.getLogger(chatty).setLevel(logging.ERROR)


def store_uri(tracking_uri: str) -> str:
    """The store behind `mlflow.tracking_uri`: a folder, which MLflow no longer writes to, holds a SQLite file."""
    parsed = urlparse(tracking_uri)
    if parsed.scheme not in ("", "file"):
        return tracking_uri
    # Not `Path.expanduser`, which raises when there is no such user.
    folder = Path(unquote(parsed.netloc + parsed.path) if parsed.scheme else os.path.expanduser(tracking_uri))
    return f"sqlite:///{folder / 'mlflow.db'}"


def artifact_place(uri: str) -> str | None:
    """Where the runs' files go: beside a SQLite file; a server knows its own place."""
    if not uri.startswith("sqlite:///"):
        return None
    folder = Path(uri.removeprefix("sqlite:///")).resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / "mlruns").as_uri()


def check_sqlite(uri: str) -> None:
    """Raise at once when a SQLite store cannot be written; MLflow would try ten times, for 100 seconds in all."""
    path = uri.removeprefix("sqlite:///").partition("?")[0]
    if path == uri or path in ("", ":memory:") or path.startswith("file:"):
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(path, timeout=SQLITE_SECONDS, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("CREATE TABLE forgeml_trial (one)")
            database.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}") from error


@contextmanager
def apart() -> Iterator[None]:
    """Let MLflow work without a trace in this process: environment and random numbers are as before afterwards."""
    names = (*MANNERS, "MLFLOW_TRACKING_URI")
    before, drawn = {name: os.environ.get(name) for name in names}, random.getstate()
    try:
        for name, value in MANNERS.items():
            os.environ.setdefault(name, value)
        # MLflow draws the run's name; after the seed of the training all runs would have the same.
        random.seed()
        yield
    finally:
        random.setstate(drawn)
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old


@dataclass(frozen=True)
class OpenRun:
    """A run that exists in the store."""

    client: mlflow.MlflowClient
    uri: str
    run_id: str

    def send(self, records: Sequence[Record]) -> None:
        """Put up to 100 records into the run. The same may be sent twice: MLflow then keeps one."""
        inputs = [one for one in records if isinstance(one, DatasetInput)]
        if inputs:
            self.client.log_inputs(self.run_id, datasets=inputs)
        self.client.log_batch(
            self.run_id,
            metrics=[one for one in records if isinstance(one, Metric)],
            params=[one for one in records if isinstance(one, Param)],
            tags=[one for one in records if isinstance(one, RunTag)],
        )

    def end(self, status: str) -> None:
        """Close the run with one of MLflow's words for how it ended."""
        self.client.set_terminated(self.run_id, status)

    def upload_model(self, folder: Path, requirements: list[str], pairs: bool) -> str:
        """The saved folder as a model of this run; its id.

        Args:
            folder: the saved model.
            requirements: packages that it needs, with versions.
            pairs: whether it takes pairs of texts.
        """
        experiment = self.client.get_run(self.run_id).info.experiment_id
        # Made beforehand, since `Model.log` would put a model of its own making into the process-wide experiment.
        logged = self.client.create_logged_model(experiment, "model", self.run_id, model_type="classifier")
        # For what comes after the first answers of the server: large files take it longer than a few numbers.
        os.environ[TIMEOUT] = str(max(UPLOAD_SECONDS, int(os.environ.get(TIMEOUT, "0"))))
        with _use_tracking_uri(self.uri), warnings.catch_warnings(action="ignore"):
            Model.log(
                artifact_path=None,
                model_id=logged.model_id,
                flavor=mlflow.pyfunc,
                run_id=self.run_id,
                loader_module=LOADER,
                data_path=str(folder),
                code_paths=[str(PACKAGE)],
                pip_requirements=requirements,
                signature=ModelSignature(inputs=Schema([ColSpec(DataType.string, name) for name in TEXTS[pairs]])),
            )
        return str(logged.model_id)


def open_run(config: MlflowConfig, tags: Mapping[str, str]) -> OpenRun:
    """Make the run that the `mlflow` section describes, and the experiment if it is not there yet."""
    uri = store_uri(config.tracking_uri)
    check_sqlite(uri)
    client = mlflow.MlflowClient(uri)
    known = client.get_experiment_by_name(config.experiment_name)
    experiment = (
        known.experiment_id
        if known is not None
        else client.create_experiment(config.experiment_name, artifact_location=artifact_place(uri))
    )
    # Nothing may come after this: a run whose id the caller does not get stays open for ever.
    return OpenRun(client, uri, client.create_run(experiment, tags=dict(tags), run_name=config.run_name).info.run_id)


def dataset_record(name: str, fingerprint: str, rows: Mapping[str, int]) -> Record:
    """The data set as an input of the run; the rows of its splits stand in the source."""
    source = CodeDatasetSource(tags={"name": name, **{f"rows.{split}": str(count) for split, count in rows.items()}})
    dataset = MetaDataset(source, name=name, digest=fingerprint[:LONGEST_DIGEST])  # type: ignore[abstract]
    return DatasetInput(dataset._to_mlflow_entity(), tags=[])


def is_refused(error: Exception) -> bool:
    """Whether the store answered, and does not want these records."""
    return isinstance(error, MlflowException) and error.error_code in REFUSALS
