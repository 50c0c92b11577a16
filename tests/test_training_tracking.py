"""The run in MLflow: a real store, a real server, and none at all."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.entities import Run

from forgeml import Classifier
from forgeml.config.loading import flatten
from forgeml.config.schema import Config, MlflowConfig
from forgeml.errors import Stopped
from forgeml.records import Event, Note
from forgeml.training.tracking import Tracker, store_uri
from forgeml.training.train import train
from servers import free_port, mlflow_command


def _only_run(uri: str) -> Run:
    """The one run of the one experiment that we made."""
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert len(runs) == 1
    return runs[0]


def test_one_finished_run_with_everything(trained: Path, tiny_settings: dict[str, Any]) -> None:
    """One training is one FINISHED run: settings, steps, evaluations, data, commit and the model."""
    uri = f"sqlite:///{trained}/mlflow.db"
    run = _only_run(uri)
    config = Config.model_validate({**tiny_settings, "mlflow": {"tracking_uri": uri}, "output_dir": str(trained)})
    assert run.info.status == "FINISHED"
    assert run.data.params == {name: str(value) for name, value in flatten(config).items()}
    manifest = json.loads((trained / "best_model" / "forgeml.json").read_text())
    assert run.data.metrics["best.test.accuracy"] == manifest["metrics"]["test"]["accuracy"]
    history = mlflow.MlflowClient(uri).get_metric_history(run.info.run_id, "train.loss")
    assert [metric.step for metric in history] == [10, 20, 30, 40, 50, 56]
    assert {"train.learning_rate", "train.examples_per_second", "validation.macro_f1"} <= run.data.metrics.keys()
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == manifest["data"]["name"]
    assert manifest["data"]["fingerprint"].startswith(data.dataset.digest)


def test_logged_model_has_no_pickle_and_stands_under_its_run(trained: Path) -> None:
    """The MLflow model belongs to the run and its experiment, and is opened by code."""
    uri = f"sqlite:///{trained}/mlflow.db"
    run = _only_run(uri)
    (model,) = mlflow.MlflowClient(uri).search_logged_models([run.info.experiment_id])
    assert model.source_run_id == run.info.run_id
    folder = Path(model.artifact_location.removeprefix("file://"))
    assert trained in folder.parents
    assert not [file for file in folder.rglob("*") if file.suffix in {".pkl", ".pickle", ".bin", ".pt"}]
    loaded = mlflow.pyfunc.load_model(str(folder))
    assert loaded.predict(pd.DataFrame({"text": ["good"]}))[0]["label"] in {"neg", "pos"}


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("x"), "FAILED"), (Stopped(15), "KILLED"), (KeyboardInterrupt(), "KILLED")]
)
def test_status_is_right_however_the_run_ends(tmp_path: Path, error: BaseException, status: str) -> None:
    """An error makes the run FAILED, a signal makes it KILLED; it never stays RUNNING."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = Tracker(MlflowConfig(tracking_uri=uri), pytest.fail)
    with pytest.raises(type(error)), tracker.running():
        raise error
    assert _only_run(uri).info.status == status


def test_unreachable_server_costs_a_warning_and_no_run(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """With nobody at the address the training ends as always; the reason is told once."""
    address = f"http://127.0.0.1:{free_port()}"
    events: list[Event] = []
    settings = {**tiny_settings, "mlflow": {"tracking_uri": address}, "output_dir": str(tmp_path)}
    result = train(Config.model_validate(settings), events.append)
    warnings = [event for event in events if isinstance(event, Note) and event.topic == "tracking"]
    assert len(warnings) == 1
    assert "the training goes on" in warnings[0].text
    assert result.run_id is None
    assert (tmp_path / "best_model" / "forgeml.json").is_file()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("./mlruns", "sqlite:///mlruns/mlflow.db"),
        ("file:///data/mlruns", "sqlite:////data/mlruns/mlflow.db"),
        ("file:./mlruns", "sqlite:///mlruns/mlflow.db"),
    ],
)
def test_folder_as_store_holds_a_sqlite_file(given: str, wanted: str) -> None:
    """A folder, which MLflow no longer writes to, is where the SQLite file goes; all else is taken as it is."""
    assert store_uri(given) == wanted


def test_run_inside_a_run_of_the_caller(tmp_path: Path) -> None:
    """A run that the calling program has open stays as it is, and so does its tracking address."""
    theirs, ours = (f"sqlite:///{tmp_path}/{name}.db" for name in ("theirs", "ours"))
    mlflow.set_tracking_uri(theirs)
    with mlflow.start_run() as active, Tracker(MlflowConfig(tracking_uri=ours), pytest.fail).running():
        assert mlflow.active_run().info.run_id == active.info.run_id
    assert mlflow.get_tracking_uri() == theirs
    assert _only_run(theirs).info.run_id != _only_run(ours).info.run_id


@pytest.mark.slow
def test_mlflow_serves_the_logged_model(trained: Path, tmp_path: Path) -> None:
    """`mlflow models serve` answers over HTTP with the labels and scores of the classifier."""
    texts = ["a good film", "a bad film"]
    payloads = ({"inputs": texts}, {"dataframe_split": {"columns": ["text"], "data": [[text] for text in texts]}})
    expected = Classifier.from_pretrained(trained / "best_model").predict(texts)
    (model_file,) = (trained / "mlruns").rglob("MLmodel")
    serve = ("models", "serve", "-m", str(model_file.parent), "--env-manager", "local")
    with mlflow_command(*serve, health="/ping", folder=tmp_path) as address:
        for payload in payloads:
            request = urllib.request.Request(
                f"{address}/invocations", json.dumps(payload).encode(), {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=30) as response:
                answers = json.load(response)["predictions"]
            assert [answer["label"] for answer in answers] == [own.label for own in expected]
            assert [answer["score"] for answer in answers] == pytest.approx([own.score for own in expected], abs=1e-5)


@pytest.mark.slow
def test_run_on_a_server(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """With a server's address as the store, settings, metrics and the model arrive there."""
    store = (
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination",
        str(tmp_path / "files"),
    )
    with mlflow_command("server", "--workers", "1", *store, health="/health", folder=tmp_path) as address:
        named = {"tracking_uri": address, "experiment_name": "reviews", "run_name": "first"}
        train(Config.model_validate({**tiny_settings, "mlflow": named, "output_dir": str(tmp_path / "out")}))
        client = mlflow.MlflowClient(address)
        experiment = client.get_experiment_by_name("reviews")
        assert experiment is not None
        (run,) = client.search_runs([experiment.experiment_id])
        (model,) = client.search_logged_models([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert run.data.params["training.learning_rate"] == "0.003"
    assert model.source_run_id == run.info.run_id
    assert [file.name for file in (tmp_path / "files").rglob("model.safetensors")] == ["model.safetensors"]
