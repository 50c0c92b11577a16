"""The run in MLflow as the training tells of it: what stands in the store, and what a store that fails costs."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.tracking._tracking_service.utils import _use_tracking_uri

from forgeml import Classifier
from forgeml.config.loading import flatten
from forgeml.config.schema import Config, MlflowConfig
from forgeml.errors import Stopped
from forgeml.events import Evaluation, Event, Note
from forgeml.training.tracking import tracker as module
from forgeml.training.tracking.store import OpenRun
from forgeml.training.tracking.syncing import sync
from forgeml.training.tracking.tracker import Tracker
from forgeml.training.train import train
from servers import free_port, mlflow_command, silent_server
from tracked import hasten, new_store, only, report, stored, tell_beginning, tell_steps


def _only_run(uri: str) -> Run:
    """The one run of the one experiment that we made."""
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert len(runs) == 1
    return runs[0]


def _tracker(uri: str, folder: Path, **more: Any) -> Tracker:
    """One that must have nothing to say."""
    return Tracker(MlflowConfig(tracking_uri=uri), folder, pytest.fail, **more)


def _stop() -> None:
    raise Stopped(15)


def _journal(folder: Path) -> str:
    (path,) = (folder / "tracking").iterdir()
    return path.read_text()


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
    """An error makes the run FAILED, a signal makes it KILLED; it never stays RUNNING. The journal knows it all."""
    uri = new_store(tmp_path)
    tracker = _tracker(uri, tmp_path)
    with pytest.raises(type(error)), tracker.running():
        tell_steps(tracker, [1])
        raise error
    assert only(uri).status == status
    assert json.loads(_journal(tmp_path).splitlines()[-1]) == {"line": "whole"}


def test_finished_run_leaves_no_journal(tmp_path: Path) -> None:
    """What stands in the store needs no second place."""
    uri = new_store(tmp_path)
    tracker = _tracker(uri, tmp_path / "out")
    with tracker.running():
        tell_beginning(tracker)
        tell_steps(tracker, range(1, 41))
        assert '"line": "opened"' in _journal(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    found = only(uri)
    assert [(step, value) for name, step, value, _ in found.figures if name == "train.loss"] == [
        (step, report(step).loss) for step in range(1, 41)
    ]
    assert (found.params["training.seed"], found.tags["forgeml.device"], found.data) == ("42", "cpu", ["reviews"])
    assert found.status == "FINISHED"


def test_each_record_is_in_the_journal_before_the_next_one(tmp_path: Path) -> None:
    """A kill at any instant loses nothing that was told, even if the store has not taken it yet."""
    uri = new_store(tmp_path)
    tracker = _tracker(uri, tmp_path)
    with tracker.running():
        for step in range(1, 30):
            tell_steps(tracker, [step])
            assert f'"step": {step},' in _journal(tmp_path).splitlines()[-1]


def test_training_to_a_dead_address_is_whole_after_sync(
    trained: Path, tiny_settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nobody at the address the training ends as always; its whole run, and its model, come by `forgeml sync`."""
    hasten(monkeypatch)
    address, uri, events = f"http://127.0.0.1:{free_port()}", new_store(tmp_path), list[Event]()
    settings = {**tiny_settings, "mlflow": {"tracking_uri": address}, "output_dir": str(tmp_path / "out")}
    result = train(Config.model_validate(settings), events.append)
    warnings = [event.text for event in events if isinstance(event, Note) and event.topic == "tracking"]
    assert len(warnings) == 2
    assert "the training goes on" in warnings[0]
    assert f"forgeml sync {tmp_path / 'out'}" in warnings[1]
    assert (result.run_id, result.model_id) == (None, None)
    (synced,) = sync(tmp_path / "out", uri)
    found, wanted = only(uri), only(f"sqlite:///{trained}/mlflow.db")
    assert (synced.outcome, found.status, found.models) == ("sent", "FINISHED", wanted.models)
    assert [figure[:2] for figure in found.figures] == [figure[:2] for figure in wanted.figures]
    assert found.params.keys() == wanted.params.keys()
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["best_model"]


def test_run_inside_a_run_of_the_caller(tmp_path: Path) -> None:
    """A run that the calling program has open stays as it is, and so does its tracking address."""
    theirs, ours = new_store(tmp_path, "theirs.db"), new_store(tmp_path, "ours.db")
    with _use_tracking_uri(theirs):
        with mlflow.start_run() as active, _tracker(ours, tmp_path).running():
            assert mlflow.active_run().info.run_id == active.info.run_id
        assert mlflow.get_tracking_uri() == theirs
    assert stored(theirs).keys() != stored(ours).keys()


def test_nothing_happens_before_the_run_is_running(tmp_path: Path) -> None:
    """Making a tracker opens no run; what is logged outside of it goes nowhere, and does no harm."""
    tracker = _tracker(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)
    tell_beginning(tracker)
    tell_steps(tracker, range(1, 11))
    tracker.log_model(tmp_path, {})
    assert (tracker.run_id, tracker.model_id, tracker.state) == ("", "", {})
    assert list(tmp_path.iterdir()) == []


def test_tracking_draws_no_random_numbers(tmp_path: Path) -> None:
    """What the training draws does not depend on what the other thread does, nor does its environment afterwards."""
    random.seed(42)
    state, environment = random.getstate(), dict(os.environ)
    tracker = _tracker(new_store(tmp_path), tmp_path)
    with tracker.running():
        tell_beginning(tracker)
        tell_steps(tracker, range(1, 30))
    assert random.getstate() == state
    assert dict(os.environ) == environment


def test_signal_while_opening_leaves_no_running_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal before the run is made leaves none; all that takes time, as asking git, comes before."""
    monkeypatch.setattr(module, "_git_tags", lambda: _stop())
    with pytest.raises(Stopped), _tracker(f"sqlite:///{tmp_path}/mlflow.db", tmp_path).running():
        pytest.fail("the block was entered")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("stopping")
def test_signal_while_closing_cuts_the_wait_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All has been done by then: the run is FINISHED, its end stands in the journal, and nobody waits any more."""
    uri, end, held, told = new_store(tmp_path), OpenRun.end, threading.Event(), list[str]()

    def slow(run: OpenRun, status: str, time: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        assert held.wait(20)
        end(run, status, time)

    monkeypatch.setattr(OpenRun, "end", slow)
    with Tracker(MlflowConfig(tracking_uri=uri), tmp_path, told.append).running():
        pass
    assert "forgeml sync" in told[0]
    assert only(uri).status == "RUNNING"
    (journal,) = (tmp_path / "tracking").iterdir()
    assert b'"FINISHED"' in journal.read_bytes()
    held.set()
    while only(uri).status == "RUNNING":
        time.sleep(0.05)
    assert only(uri).status == "FINISHED"


@pytest.mark.parametrize("uri", ["http://[::1", "nothing://here", "sqlite:////dev/null/mlflow.db"])
def test_senseless_address_costs_two_sentences(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that nothing can be made of is told at the opening and at the end, and never raises."""
    hasten(monkeypatch)
    told: list[str] = []
    tracker = Tracker(MlflowConfig(tracking_uri=uri), tmp_path, told.append)
    with tracker.running():
        tell_beginning(tracker)
        tell_steps(tracker, range(1, 21))
        tracker.log_model(tmp_path, {})
    assert len(told) == 2
    assert told[0].startswith("MLflow does not answer, the training goes on and its records wait in ")
    assert told[1].startswith("the run is not in MLflow: ")
    assert tracker.run_id == ""


def test_server_that_never_answers_is_left_to_the_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a short wait the training goes on, and at its end the records are in the journal."""
    hasten(monkeypatch)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    told: list[str] = []
    with silent_server() as address:
        tracker = Tracker(MlflowConfig(tracking_uri=address), tmp_path, told.append)
        with tracker.running():
            tell_steps(tracker, [1])
    assert len(told) == 1
    assert told[0].startswith("the run is not in MLflow: it takes too long; ")
    assert '"step": 1,' in _journal(tmp_path)


def test_database_that_is_tried_for_minutes_is_left_to_the_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What MLflow does on its own, as trying to reach a database for 100 seconds, holds nobody up."""
    hasten(monkeypatch)
    ends, told = threading.Event(), list[str]()
    monkeypatch.setattr(mlflow, "MlflowClient", lambda uri: ends.wait(100))
    tracker = Tracker(MlflowConfig(tracking_uri="postgresql://nobody/here"), tmp_path, told.append)
    with tracker.running():
        tell_steps(tracker, [1])
        tracker.log_model(tmp_path, {})
    ends.set()
    assert len(told) == 1
    assert "forgeml sync" in told[0]


def test_record_that_mlflow_never_takes_costs_a_sentence(tmp_path: Path) -> None:
    """It is left out, and all else arrives."""
    uri, told = new_store(tmp_path), list[str]()
    tracker = Tracker(MlflowConfig(tracking_uri=uri), tmp_path, told.append)
    with tracker.running():
        tracker.log_evaluation(Evaluation("validation", 1, {"f1.a\nb": 0.5, "accuracy": 1.0}, 1))
        tracker.log_data("reviews", None, {})  # type: ignore[arg-type]
        tracker.log_facts({"device": "cpu"})
    found = only(uri)
    assert len(told) == 1
    assert told[0].startswith(f"MLflow does not take 2 records of the run {tracker.run_id}, which ")
    assert "f1.a" in _journal(tmp_path)
    assert ([name for name, *_ in found.figures], found.tags["forgeml.device"]) == (["validation.accuracy"], "cpu")


def test_no_password_in_messages_tags_and_journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a setting, a tag, an error or the address holds of secrets is in no warning, no store and no journal."""
    hasten(monkeypatch)
    secret, told, uri = "hf_" + "x" * 34, list[str](), new_store(tmp_path)
    for address in (f"http://me:sesame@127.0.0.1:{free_port()}", uri):
        tracker = Tracker(MlflowConfig(tracking_uri=address), tmp_path / "out", told.append)
        with pytest.raises(ValueError, match="sesame"), tracker.running():
            tracker.log_settings({"data.dataset": f"http://host/?token={secret}", "model.name": secret})
            tracker.log_facts({"model": f"http://me:sesame@host/{secret}"})
            tracker.log_data(secret, "abc", {})
            raise ValueError("no answer from http://me:sesame@host")
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 3
    assert not [one for one in [*map(str.encode, told), *written] if b"sesame" in one or secret.encode() in one]
    errors = {found.tags["forgeml.error"] for found in stored(uri).values()}
    assert errors == {"ValueError: no answer from http://*********@host"}


def test_model_is_uploaded_with_patience(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the model goes to MLflow its short timeout is lifted; afterwards all is as it was, and the id is known."""
    seen: list[str] = []
    log = mlflow.models.Model.log

    def watched(**options: Any) -> None:
        seen.append(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
        log(**options)

    monkeypatch.setattr(mlflow.models.Model, "log", watched)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://theirs")
    before, uri = dict(os.environ), new_store(tmp_path)
    tracker = _tracker(uri, tmp_path / "out")
    with tracker.running():
        tracker.log_model(trained / "best_model", {"torch": "2", "python": "3", "forgeml": "1"})
    assert seen == ["900"]
    assert dict(os.environ) == before
    assert mlflow.get_tracking_uri() == "http://theirs"
    run = _only_run(uri)
    (model,) = mlflow.MlflowClient(uri).search_logged_models([run.info.experiment_id])
    assert (tracker.model_id, model.status) == (model.model_id, "READY")


def test_upload_that_fails_is_told_and_comes_by_sync(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that did not arrive is told once with its place; the run is closed, and `forgeml sync` sends it."""
    uri, told, upload = new_store(tmp_path), list[str](), OpenRun.upload_model
    model = Path(shutil.copytree(trained / "best_model", tmp_path / "out" / "best_model"))

    def broken(run: OpenRun, model_id: str, model: Any) -> None:
        raise ConnectionError("broken off")

    monkeypatch.setattr(OpenRun, "upload_model", broken)
    tracker = Tracker(MlflowConfig(tracking_uri=uri), tmp_path / "out", told.append)
    with tracker.running():
        tell_steps(tracker, [1])
        tracker.log_model(model, {})
    assert len(told) == 1
    assert told[0].startswith(f"the model is not in MLflow, only in {model}: broken off; ")
    assert (tracker.model_id, only(uri).status) == ("", "FINISHED")
    monkeypatch.setattr(OpenRun, "upload_model", upload)
    (synced,) = sync(tmp_path / "out")
    assert (synced.outcome, bool(synced.model_id)) == ("sent", True)
    assert only(uri).models == ["READY"]
    assert sync(tmp_path / "out") == []


def test_run_goes_on_as_the_same_run(tmp_path: Path) -> None:
    """After a stop, steps since the checkpoint come again: the store has each figure once, and one run with one end."""
    straight, uri = new_store(tmp_path, "straight.db"), new_store(tmp_path)
    for address, breaks in ((straight, []), (uri, [(20, 27), (30, 30)])):
        state: dict[str, Any] = {}
        begins = 1
        for checkpoint, stop in breaks:
            tracker = _tracker(address, tmp_path / "out", continued=state)
            with pytest.raises(Stopped), tracker.running():
                tell_beginning(tracker)
                tell_steps(tracker, range(begins, checkpoint + 1), speed=100.0 + begins)
                state = json.loads(json.dumps(tracker.state))
                tell_steps(tracker, range(checkpoint + 1, stop + 1), speed=100.0 + begins)
                assert only(address).status == "RUNNING"
                raise Stopped(15)
            assert only(address).status == "KILLED"
            begins = checkpoint + 1
        tracker = _tracker(address, tmp_path / "out", continued=state)
        with tracker.running():
            tell_beginning(tracker)
            tell_steps(tracker, range(begins, 41))
    assert only(uri).told == only(straight).told
    assert list((tmp_path / "out").iterdir()) == []


def test_changed_setting_of_a_run_that_goes_on_is_a_tag(tmp_path: Path) -> None:
    """MLflow refuses the change; it costs nothing, and what holds now is found as a tag."""
    uri = new_store(tmp_path)
    tracker = _tracker(uri, tmp_path)
    with pytest.raises(Stopped), tracker.running():
        tell_beginning(tracker)
        raise Stopped(2)
    again = _tracker(uri, tmp_path, continued=tracker.state)
    with again.running():
        again.log_settings({"training.seed": 43, "model.name": "tiny", "training.num_epochs": 5})
    found = only(uri)
    assert found.params == {"training.seed": "42", "model.name": "tiny", "training.num_epochs": "5"}
    assert found.tags["forgeml.changed.training.seed"] == "43"


def test_run_that_was_deleted_goes_on_as_a_new_one(tmp_path: Path) -> None:
    """It is told, and costs nothing."""
    uri, told = new_store(tmp_path), list[str]()
    tracker = _tracker(uri, tmp_path)
    with pytest.raises(Stopped), tracker.running():
        raise Stopped(2)
    mlflow.MlflowClient(uri).delete_run(tracker.run_id)
    again = Tracker(MlflowConfig(tracking_uri=uri), tmp_path, told.append, tracker.state)
    with again.running():
        tell_steps(again, [1])
    assert told == [f"the run {tracker.run_id} is no longer in MLflow; the run {again.run_id} has what comes"]
    assert stored(uri)[again.run_id].status == "FINISHED"


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
