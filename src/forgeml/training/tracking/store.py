"""The calls to MLflow itself: find or make a run, send records, upload the model. All may raise; `sending` catches."""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import mlflow
from mlflow import entities
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.exceptions import MlflowException
from mlflow.models import Model as LoggedFolder
from mlflow.models import ModelSignature
from mlflow.tracking._tracking_service.utils import _use_tracking_uri
from mlflow.types.schema import ColSpec, DataType, Schema

from forgeml.training.tracking.records import Data, Metrics, Model, Params, Record, Start, Tags

PACKAGE = Path(__file__).parents[2]
TEXTS = {False: ("text",), True: ("text", "text_pair")}
"""Columns that a model takes: one of single texts, one of pairs. MLflow drops those that are not named."""
LOADER = "forgeml.inference.pyfunc"
"""Module by which MLflow opens the logged model: code instead of a pickle."""

LONGEST_VALUE = 6000
"""Characters that MLflow stores of a parameter or a tag."""
LONGEST_DIGEST = 36
"""Characters that MLflow stores of a data set's digest."""

KEY = "forgeml.key"
"""Tag of a run by which it is found where its id is not known."""
FINGERPRINT = "forgeml.fingerprint"
"""Tag of a model by which it is known again."""

SQLITE_SECONDS = 3
"""How long another process may keep the SQLite file locked while the run is opened."""

REFUSALS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST"}
"""MLflow's words for records that no second attempt will make acceptable."""
FOREIGN_ANSWER = "API request to endpoint"
"""How the message begins that MLflow makes of an answer which is not in its own form."""
ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
"""MLflow's words for a run that is not there, and for an id that none can have."""


def store_uri(tracking_uri: str) -> str:
    """The store behind `mlflow.tracking_uri`: a folder, which MLflow no longer writes to, holds a SQLite file."""
    parsed = urlparse(tracking_uri)
    if parsed.scheme not in ("", "file"):
        return tracking_uri
    # Not `Path.expanduser`, which raises when there is no such user.
    folder = Path(unquote(parsed.netloc + parsed.path) if parsed.scheme else os.path.expanduser(tracking_uri))
    return f"sqlite:///{folder / 'mlflow.db'}"


def whole_uri(tracking_uri: str) -> str:
    """The address of the store as it is from every folder; one that means nothing stays as it is."""
    try:
        uri = store_uri(tracking_uri)
    except ValueError:
        return tracking_uri
    path = uri.removeprefix("sqlite:///")
    if path == uri or path.startswith(("/", ":memory:", "file:")) or not path:
        return uri
    folder = Path.cwd()
    # In an address a question mark ends the path.
    return uri if "?" in str(folder) else f"sqlite:///{folder / path}"


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


def is_refusal(error: MlflowException) -> bool:
    """Whether the store itself says that records are no good, and not something on the way to it, such as a gateway."""
    return error.error_code in REFUSALS and not str(error).startswith(FOREIGN_ANSWER)


class RefusedError(Exception):
    """The store answered that it will never take these records."""


@dataclass(frozen=True)
class OpenRun:
    """A run that exists in the store."""

    client: mlflow.MlflowClient
    uri: str
    run_id: str

    def send(self, records: Sequence[Record]) -> None:
        """Put some records into the run. The same may be sent twice: MLflow then keeps one.

        Raises:
            RefusedError: the store will never take them all together.
        """
        try:
            if inputs := [_dataset(one) for one in records if isinstance(one, Data)]:
                self.client.log_inputs(self.run_id, datasets=inputs)
            self.client.log_batch(self.run_id, _metrics(records), _params(records), _tags(records))
        except (TypeError, ValueError, AttributeError) as error:
            raise RefusedError(str(error)) from error
        except MlflowException as error:
            # A run that was deleted refuses everything, until it is restored.
            if not is_refusal(error) or self._is_deleted():
                raise
            raise RefusedError(str(error)) from error

    def resume(self) -> None:
        """It goes on, whatever it ended as before."""
        self.client.update_run(self.run_id, status="RUNNING")

    def end(self, status: str, time: int) -> None:
        """Close the run with one of MLflow's words for how it ended, and when, in milliseconds since 1970."""
        self.client.set_terminated(self.run_id, status, time)

    def place_for(self, model: Model) -> tuple[str, bool]:
        """A place for the saved model, as a model of this run.

        Returns:
            Its id, and whether the model is there already. What other attempts have left half done is removed.
        """
        experiment = self.client.get_run(self.run_id).info.experiment_id
        for found in self.client.search_logged_models([experiment], f"source_run_id = '{self.run_id}'"):
            if found.status != entities.LoggedModelStatus.READY:
                self.client.delete_logged_model(found.model_id)
            elif found.tags.get(FINGERPRINT) == model.fingerprint:
                return str(found.model_id), True
        # Made beforehand, since MLflow would put a model of its own making into the process-wide experiment.
        tags = {FINGERPRINT: model.fingerprint}
        made = self.client.create_logged_model(experiment, "model", self.run_id, tags, model_type="classifier")
        return str(made.model_id), False

    def upload_model(self, model_id: str, model: Model) -> None:
        """Put the saved model into the place that was made for it."""
        with _use_tracking_uri(self.uri), warnings.catch_warnings(action="ignore"):
            LoggedFolder.log(
                artifact_path=None,
                model_id=model_id,
                flavor=mlflow.pyfunc,
                run_id=self.run_id,
                loader_module=LOADER,
                data_path=model.folder,
                code_paths=[str(PACKAGE)],
                pip_requirements=list(model.requirements),
                signature=ModelSignature(
                    inputs=Schema([ColSpec(DataType.string, name) for name in TEXTS[model.pairs]])
                ),
            )

    def _is_deleted(self) -> bool:
        return bool(self.client.get_run(self.run_id).info.lifecycle_stage == "deleted")


@dataclass(frozen=True)
class Store:
    """A place where runs are."""

    client: mlflow.MlflowClient
    uri: str

    @classmethod
    def at(cls, tracking_uri: str) -> Store:
        """The store behind an address.

        Raises:
            OSError: a SQLite file cannot be written.
        """
        uri = store_uri(tracking_uri)
        check_sqlite(uri)
        return cls(mlflow.MlflowClient(uri), uri)

    def find(self, start: Start, run_id: str) -> OpenRun | None:
        """The run with this id, or else the one with the key; None if there is none, or if it was deleted."""
        if run_id and self._is_there(run_id):
            return OpenRun(self.client, self.uri, run_id)
        experiment = self.client.get_experiment_by_name(start.experiment)
        if experiment is None:
            return None
        found = self.client.search_runs([experiment.experiment_id], f"tags.`{KEY}` = '{start.key}'", max_results=1)
        return OpenRun(self.client, self.uri, found[0].info.run_id) if found else None

    def create(self, start: Start) -> OpenRun:
        """A new run, and its experiment if that is not there yet."""
        known = self.client.get_experiment_by_name(start.experiment)
        experiment = (
            known.experiment_id
            if known is not None
            else self.client.create_experiment(start.experiment, artifact_location=artifact_place(self.uri))
        )
        tags = {**start.tags, KEY: start.key}
        run = self.client.create_run(experiment, start.time, tags, start.run_name)
        return OpenRun(self.client, self.uri, run.info.run_id)

    def _is_there(self, run_id: str) -> bool:
        try:
            return bool(self.client.get_run(run_id).info.lifecycle_stage != "deleted")
        except MlflowException as error:
            if error.error_code in ABSENT:
                return False
            raise


def _metrics(records: Sequence[Record]) -> list[entities.Metric]:
    groups = [one for one in records if isinstance(one, Metrics)]
    return [entities.Metric(name, value, one.time, one.step) for one in groups for name, value in one.values.items()]


def _params(records: Sequence[Record]) -> list[entities.Param]:
    groups = [one.values for one in records if isinstance(one, Params)]
    return [entities.Param(name, value[:LONGEST_VALUE]) for values in groups for name, value in values.items()]


def _tags(records: Sequence[Record]) -> list[entities.RunTag]:
    groups = [one.values for one in records if isinstance(one, Tags)]
    return [entities.RunTag(name, value[:LONGEST_VALUE]) for values in groups for name, value in values.items()]


def _dataset(data: Data) -> entities.DatasetInput:
    """The data set as an input of the run; the rows of its splits stand in the source."""
    tags = {"name": data.name, **{f"rows.{split}": str(count) for split, count in data.rows.items()}}
    dataset = MetaDataset(CodeDatasetSource(tags=tags), name=data.name, digest=data.digest[:LONGEST_DIGEST])  # type: ignore[abstract]
    return entities.DatasetInput(dataset._to_mlflow_entity(), tags=[])
