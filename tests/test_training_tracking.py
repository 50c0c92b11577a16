"""The run in MLflow: a real store, a real server, and none at all."""

from __future__ import annotations

import json
import os
import random
import time
import urllib.request
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.entities import Param, Run
from mlflow.tracking._tracking_service.utils import _use_tracking_uri

from forgeml import Classifier
from forgeml.config.loading import flatten
from forgeml.config.schema import Config, MlflowConfig
from forgeml.errors import Stopped
from forgeml.events import Evaluation, Event, Note, StepReport
from forgeml.training import tracking
from forgeml.training.mlflow_store import OpenRun
from forgeml.training.tracking import Tracker
from forgeml.training.train import train
from servers import fake_mlflow, free_port, mlflow_command, silent_server


def _only_run(uri: str) -> Run:
    """The one run of the one experiment that we made."""
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert len(runs) == 1
    return runs[0]


def _report(step: int) -> StepReport:
    return StepReport(step, 1000, step / 100, 0.5, 1e-3, 1.0, 16, 0.1)


def _stop() -> None:
    raise Stopped(15)


def _log_everything(tracker: Tracker, folder: Path) -> None:
    tracker.log_settings({"training.seed": 42})
    tracker.log_facts({"device": "cpu"})
    tracker.log_data("reviews", "abc", {"train": 1})
    tracker.log_step(_report(1), 100.0)
    tracker.log_evaluation(Evaluation("validation", 1, {"accuracy": 1.0}))
    tracker.log_model(folder, {})


def test_one_finished_run_with_everything(trained: Path, tiny_settings: dict[str, Any]) -> None:
    """One training is one FINISHED run: settings as they were found out, steps, evaluations, data and the model."""
    uri = f"sqlite:///{trained}/mlflow.db"
    run = _only_run(uri)
    config = Config.model_validate({**tiny_settings, "mlflow": {"tracking_uri": uri}, "output_dir": str(trained)})
    assert run.info.status == "FINISHED"
    found = {"data.task": "single_label", "data.text_column": "text", "data.label_column": "label"}
    assert run.data.params == {name: str(value) for name, value in flatten(config).items()} | found
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


def test_run_inside_a_run_of_the_caller(tmp_path: Path) -> None:
    """A run that the calling program has open stays as it is, and so does its tracking address."""
    theirs, ours = (f"sqlite:///{tmp_path}/{name}.db" for name in ("theirs", "ours"))
    with _use_tracking_uri(theirs):
        with mlflow.start_run() as active, Tracker(MlflowConfig(tracking_uri=ours), pytest.fail).running():
            assert mlflow.active_run().info.run_id == active.info.run_id
        assert mlflow.get_tracking_uri() == theirs
    assert _only_run(theirs).info.run_id != _only_run(ours).info.run_id


def test_nothing_happens_before_the_run_is_running(tmp_path: Path) -> None:
    """Making a tracker opens no run; what is logged outside of it goes nowhere, and does no harm."""
    tracker = Tracker(MlflowConfig(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db"), pytest.fail)
    _log_everything(tracker, tmp_path)
    assert (tracker.run_id, tracker.model_id) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_signal_while_opening_leaves_no_running_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal before the run is made leaves none; all that takes time, as asking git, comes before."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setattr(tracking, "_git_tags", lambda: _stop())
    with pytest.raises(Stopped), Tracker(MlflowConfig(tracking_uri=uri), pytest.fail).running():
        pytest.fail("the block was entered")
    assert not (tmp_path / "mlflow.db").exists()


def test_signal_while_closing_ends_the_run_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal while the run is being closed does not leave it RUNNING."""
    uri, end = f"sqlite:///{tmp_path}/mlflow.db", OpenRun.end
    monkeypatch.setattr(OpenRun, "end", lambda run, status: _stop() if status == "FINISHED" else end(run, status))
    with pytest.raises(Stopped), Tracker(MlflowConfig(tracking_uri=uri), pytest.fail).running():
        pass
    assert _only_run(uri).info.status == "KILLED"


@pytest.mark.parametrize("uri", ["http://[::1", "nothing://here", "sqlite:////dev/null/mlflow.db"])
def test_senseless_address_costs_one_warning(uri: str, tmp_path: Path) -> None:
    """An address that nothing can be made of is told once, at the opening, and never raises."""
    told: list[str] = []
    tracker = Tracker(MlflowConfig(tracking_uri=uri), told.append)
    with tracker.running():
        _log_everything(tracker, tmp_path)
    assert len(told) == 1
    assert told[0].startswith("no tracking, the training goes on without it: ")
    assert tracker.run_id == ""


def test_record_that_cannot_be_made_costs_one_warning() -> None:
    """Data that MLflow's own classes choke on is counted as lost, and all else arrives."""
    told: list[str] = []
    with fake_mlflow() as server:
        tracker = Tracker(MlflowConfig(tracking_uri=server.address), told.append)
        with tracker.running():
            tracker.log_data("reviews", None, {})  # type: ignore[arg-type]
            tracker.log_facts({"device": "cpu"})
    assert len(told) == 1
    assert told[0].startswith("1 records of the run r1 are not in MLflow: ")
    assert (server.tags["forgeml.device"], server.status) == ("cpu", "FINISHED")


def test_server_that_never_answers_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the opening a silent server is waited for in one request and its repetition, not in every one."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    told: list[str] = []
    started = time.monotonic()
    with silent_server() as address, Tracker(MlflowConfig(tracking_uri=address), told.append).running():
        assert time.monotonic() - started < 4
    assert len(told) == 1
    assert time.monotonic() - started < 4


def test_all_arrives_after_an_outage(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """What is logged while the server is away is kept in order, and sent when it is back; told once, nothing lost."""
    monkeypatch.setattr(tracking, "PAUSE", 0)
    told: list[str] = []
    with fake_mlflow() as server:
        tracker = Tracker(MlflowConfig(tracking_uri=server.address), told.append)
        with tracker.running():
            server.down = True
            tracker.log_settings({"training.seed": 42})
            tracker.log_data("reviews", "abc", {"train": 1})
            for step in range(1, 61):
                tracker.log_step(_report(step), 100.0)
            assert server.metrics == []
            server.down = False
            tracker.log_step(_report(61), 100.0)
            assert [step for name, step in server.metrics if name == "train.loss"] == [*range(1, 62)]
    assert (server.params, server.data) == ({"training.seed": "42"}, ["reviews"])
    assert server.status == "FINISHED"
    assert len(told) == 1
    assert "tried again later" in told[0]
    assert capfd.readouterr() == ("", ""), "MLflow prints nothing past the console"


def test_server_that_is_back_at_the_end_gets_the_rest() -> None:
    """During a pause after a failure nothing is asked of the server; the end of the run does not wait for it."""
    told: list[str] = []
    with fake_mlflow() as server:
        with (tracker := Tracker(MlflowConfig(tracking_uri=server.address), told.append)).running():
            server.down = True
            tracker.log_step(_report(1), 100.0)
            asked = server.asked
            for step in range(2, 50):
                tracker.log_step(_report(step), 100.0)
            assert server.asked == asked
            server.down = False
        assert [step for name, step in server.metrics if name == "train.loss"] == [*range(1, 50)]
    assert (server.status, len(told)) == ("FINISHED", 1)


def test_server_gone_for_good_costs_little_and_the_loss_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the server away to the end a bounded number of records waits, and the end says what is missing."""
    monkeypatch.setattr(tracking, "MOST_WAITING", 50)
    told: list[str] = []
    started = time.monotonic()
    with (
        fake_mlflow() as server,
        (tracker := Tracker(MlflowConfig(tracking_uri=server.address), told.append)).running(),
    ):
        server.down = True
        tracker.log_settings({"training.seed": 42})
        for step in range(1, 201):
            tracker.log_step(_report(step), 100.0)
        assert len(tracker._waiting) == 50
        assert isinstance(tracker._waiting[0], Param), "settings are kept rather than old steps"
    assert time.monotonic() - started < 10
    assert [text.partition(":")[0] for text in told] == [
        "tracking is interrupted, the training goes on and it is tried again later",
        "MLflow shows the run r1 as running, though it is FINISHED",
        "1,001 records of the run r1 are not in MLflow",
    ]


def test_refused_record_does_not_block_the_others() -> None:
    """One metric that MLflow will never take is left out and counted; all others arrive."""
    told: list[str] = []
    with fake_mlflow() as server:
        server.refused_key = "train.grad_norm"
        with (tracker := Tracker(MlflowConfig(tracking_uri=server.address), told.append)).running():
            tracker.log_step(_report(1), 100.0)
            tracker.log_step(_report(2), 100.0)
    assert len(server.metrics) == 8
    assert len(told) == 1
    assert told[0].startswith("2 records of the run r1 are not in MLflow: ")
    assert "no train.grad_norm here" in told[0]


def test_no_password_in_messages_and_tags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The password of a tracking address is in no warning, and in no tag about the error."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    told: list[str] = []
    with Tracker(MlflowConfig(tracking_uri=f"http://me:sesame@127.0.0.1:{free_port()}"), told.append).running():
        pass
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(ValueError, match="sesame"), Tracker(MlflowConfig(tracking_uri=uri), told.append).running():
        raise ValueError("no answer from http://me:sesame@host")
    assert len(told) == 1
    assert "sesame" not in told[0]
    assert _only_run(uri).data.tags["forgeml.error"] == "ValueError: no answer from http://*********@host"


def test_facts_are_tags(tmp_path: Path) -> None:
    """What was found about machine and model is searchable as tags of the run."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = Tracker(MlflowConfig(tracking_uri=uri), pytest.fail)
    with tracker.running():
        tracker.log_facts({"device": "cpu", "model_commit": "abc"})
    tags = _only_run(uri).data.tags
    assert (tags["forgeml.device"], tags["forgeml.model_commit"]) == ("cpu", "abc")


def test_names_differ_under_one_seed_and_the_training_draws_as_before(tmp_path: Path) -> None:
    """Two runs after the same seed have different names, and the numbers drawn afterwards do not depend on tracking."""
    names, drawn = set(), set()
    for number in range(2):
        uri = f"sqlite:///{tmp_path}/{number}.db"
        random.seed(42)
        with Tracker(MlflowConfig(tracking_uri=uri), pytest.fail).running():
            drawn.add(random.random())
        names.add(_only_run(uri).info.run_name)
    random.seed(42)
    assert drawn == {random.random()}
    assert len(names) == 2


def test_model_is_uploaded_with_patience(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the model goes to MLflow its short timeout is lifted; afterwards all is as it was, and the id is known."""
    seen: list[str] = []
    log = mlflow.models.Model.log

    def watched(**options: Any) -> None:
        seen.append(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
        log(**options)

    monkeypatch.setattr(mlflow.models.Model, "log", watched)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://theirs")
    before = dict(os.environ)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = Tracker(MlflowConfig(tracking_uri=uri), pytest.fail)
    with tracker.running():
        tracker.log_model(trained / "best_model", {"torch": "2", "python": "3", "forgeml": "1"})
    assert seen == ["900"]
    assert dict(os.environ) == before
    assert mlflow.get_tracking_uri() == "http://theirs"
    run = _only_run(uri)
    (model,) = mlflow.MlflowClient(uri).search_logged_models([run.info.experiment_id])
    assert tracker.model_id == model.model_id


def test_upload_that_fails_is_told(tmp_path: Path) -> None:
    """A model that did not arrive is told with the place where it is, and the run is still closed."""
    told: list[str] = []
    with fake_mlflow() as server:
        tracker = Tracker(MlflowConfig(tracking_uri=server.address), told.append)
        with tracker.running():
            tracker.log_model(tmp_path, {})
    assert len(told) == 1
    assert told[0].startswith(f"the model is not in MLflow, only in {tmp_path}: ")
    assert (tracker.model_id, server.status) == ("", "FINISHED")


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
