"""The whole run, from a configuration to a saved folder."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch

from forgeml.batch import AnyBatch
from forgeml.config.schema import Config
from forgeml.errors import ConfigError, DataError, ForgeError, MachineError, ModelError, Stopped, TrainingError
from forgeml.events import Evaluation, Event, Note, StepReport, TrainingResult
from forgeml.model import publishing
from forgeml.training import loop
from forgeml.training.train import train
from tracked import new_store, only

SAVED_FILES = [
    "README.md",
    "config.json",
    "forgeml.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]


def _config(settings: dict[str, Any], folder: Path, **changes: dict[str, Any]) -> Config:
    """The tiny settings with some sections changed, writing to `folder` only."""
    merged = {name: {**section, **changes.pop(name, {})} for name, section in settings.items()}
    folder.mkdir(parents=True, exist_ok=True)
    store = {"tracking_uri": f"sqlite:///{folder}/mlflow.db" if (folder / "mlflow.db").exists() else new_store(folder)}
    return Config.model_validate({**merged, "mlflow": store, "output_dir": str(folder), **changes})


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_saved_folder_has_exactly_the_promised_files(trained: Path) -> None:
    """`best_model/` holds what transformers writes, the manifest and the card, and nothing lies beside it."""
    assert sorted(file.name for file in (trained / "best_model").iterdir()) == SAVED_FILES
    assert sorted(file.name for file in trained.iterdir()) == ["best_model", "mlflow.db", "mlruns"]


def test_manifest_tells_the_whole_story(trained: Path, tiny_settings: dict[str, Any]) -> None:
    """`forgeml.json` has task, labels, metrics, configuration, data, model, versions and the hash of each file."""
    manifest = json.loads((trained / "best_model" / "forgeml.json").read_text())
    assert (manifest["format"], manifest["task"], manifest["labels"]) == (1, "single_label", ["neg", "pos"])
    assert manifest["metrics"]["test"]["accuracy"] >= 0.9
    assert manifest["config"]["training"]["learning_rate"] == tiny_settings["training"]["learning_rate"]
    assert manifest["data"]["rows"] == {"train": 216, "validation": 24, "test": 80}
    assert len(manifest["data"]["fingerprint"]) == 64
    assert manifest["versions"]["torch"]
    assert manifest["files"] == {
        name: _hash(trained / "best_model" / name) for name in SAVED_FILES if name != "forgeml.json"
    }


def test_events_tell_the_run_in_its_steps(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """Machine, model, data, task, tokens and the plan are told first, then steps and evaluations, the result last."""
    events: list[Event] = []
    train(_config(tiny_settings, tmp_path, training={"num_epochs": 1}, logging={"eval_interval": 5}), events.append)
    topics = [event.topic for event in events if isinstance(event, Note)]
    assert topics == ["machine", "model", "data", "task", "tokens", "training"]
    steps = [event.step for event in events if isinstance(event, StepReport)]
    assert steps == list(range(1, 15))
    assert [event.step for event in events if isinstance(event, Evaluation)] == [5, 10, 14]
    assert isinstance(events[-1], TrainingResult)


def test_same_configuration_gives_the_same_weights(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """Two runs of one configuration end with the same bytes; another seed does not."""
    hashes = []
    for name, seed in (("one", 1), ("two", 1), ("other", 2)):
        folder = tmp_path / name
        folder.mkdir()
        train(_config(tiny_settings, folder, training={"num_epochs": 1, "seed": seed}))
        hashes.append(_hash(folder / "best_model" / "model.safetensors"))
    assert hashes[0] == hashes[1] != hashes[2]


def test_best_model_is_the_best_on_validation(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """What is saved is the model of the best evaluation by the chosen metric, not the last one."""
    events: list[Event] = []
    changes = {"training": {"learning_rate": 0.02, "num_epochs": 3, "best_metric": "loss"}}
    result = train(_config(tiny_settings, tmp_path, **changes, logging={"eval_interval": 3}), events.append)
    evaluations = [event for event in events if isinstance(event, Evaluation)]
    best = min(evaluations, key=lambda evaluation: evaluation.metrics["loss"])
    assert result.best_step == best.step
    assert result.metrics["validation"]["loss"] == pytest.approx(best.metrics["loss"], abs=1e-5)


def test_patience_ends_the_run_early(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """With patience the run stops once validation no longer improves, and says so."""
    events: list[Event] = []
    changes = {"training": {"learning_rate": 1e-7, "num_epochs": 4, "patience": 2}, "logging": {"eval_interval": 4}}
    result = train(_config(tiny_settings, tmp_path, **changes), events.append)
    assert result.steps == 12
    assert any(isinstance(event, Note) and "no better accuracy in 2 evaluations" in event.text for event in events)


def _stopped_after(step: int, told: list[Event] | None = None) -> Callable[[Event], None]:
    """A listener that keeps what it is told, and stops the run after a step as a signal does."""

    def tell(event: Event) -> None:
        if told is not None:
            told.append(event)
        if isinstance(event, StepReport) and event.step == step:
            raise Stopped(15)

    return tell


def test_same_call_goes_on_where_a_run_was_stopped(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """It takes the steps that are left, ends with the weights of an undisturbed run, and leaves no checkpoint."""
    train(_config(tiny_settings, tmp_path / "whole"))
    config, told, more = _config(tiny_settings, tmp_path / "parts"), list[Event](), list[Event]()
    with pytest.raises(Stopped):
        train(config, _stopped_after(20, told))
    assert any(isinstance(event, Note) and "goes on does so after step 20" in event.text for event in told)
    assert train(config, more.append).steps == 56
    assert [event.step for event in more if isinstance(event, StepReport)] == list(range(21, 57))
    assert any(isinstance(event, Note) and "goes on after step 20 of 56" in event.text for event in more)
    weights = [_hash(tmp_path / name / "best_model" / "model.safetensors") for name in ("whole", "parts")]
    assert weights[0] == weights[1]
    assert not (tmp_path / "parts" / "checkpoints").exists()


def test_run_that_goes_on_is_one_run_in_mlflow(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """It has each step once, those between the checkpoint and the stop too, and ends as FINISHED."""
    config = _config(tiny_settings, tmp_path, logging={"log_interval": 1, "save_interval": 8})
    with pytest.raises(Stopped):
        train(config, _stopped_after(20))
    uri = config.mlflow.tracking_uri
    assert only(uri).status == "KILLED"
    shutil.rmtree(tmp_path / "checkpoints" / "step-20")
    train(config)
    found = only(uri)
    assert found.status == "FINISHED"
    assert [step for name, step, *_ in found.figures if name == "train.loss"] == list(range(1, 57))
    assert not (tmp_path / "tracking").exists()


def test_memory_that_does_not_suffice_is_recorded(
    tiny_settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run tells that batches are taken in parts, and how many is a tag of it."""
    config, told, forward = _config(tiny_settings, tmp_path), list[Event](), loop.batch_logits

    def small(model: torch.nn.Module, batch: AnyBatch, device: torch.device) -> torch.Tensor:
        if len(batch.indexes) > 10 and torch.is_grad_enabled():
            raise MemoryError
        return forward(model, batch, device)

    monkeypatch.setattr(loop, "batch_logits", small)
    train(config, told.append)
    assert any(isinstance(event, Note) and "8 at a time are added up" in event.text for event in told)
    assert only(config.mlflow.tracking_uri).tags["forgeml.batch_parts"] == "2"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"training": {"learning_rate": 1e-3}}, "training.learning_rate"),
        ({"training": {"num_epochs": 5, "weight_decay": 0.1}}, "training.num_epochs training.weight_decay"),
        ({"logging": {"eval_interval": 3}}, "logging.eval_interval"),
        ({"data": {"train_split": "train[:100]"}}, "data data.train_split"),
    ],
)
def test_run_of_other_settings_does_not_go_on(
    changes: dict[str, Any], named: str, tiny_settings: dict[str, Any], tmp_path: Path
) -> None:
    """Everything that differs is named; with leave for each of them it goes on, and `fresh` starts over."""
    with pytest.raises(Stopped):
        train(_config(tiny_settings, tmp_path), _stopped_after(4))
    other = _config(tiny_settings, tmp_path, **changes)
    with pytest.raises(ConfigError, match="of another run") as refused:
        train(other)
    assert [problem.where for problem in refused.value.problems[1:]] == sorted(named.split())
    with pytest.raises(ConfigError, match="did you mean training"):
        train(other, allow_changed=["training.sed"])
    told: list[Event] = []
    with pytest.raises(Stopped):
        train(other, _stopped_after(5, told), allow_changed=named.split())
    assert [event.step for event in told if isinstance(event, StepReport)] == [5]
    with pytest.raises(Stopped):
        train(other, _stopped_after(1, told), fresh=True)
    assert [event.step for event in told if isinstance(event, StepReport)] == [5, 1]


def test_stopped_run_keeps_its_best_and_touches_no_finished_model(
    trained: Path, tiny_settings: dict[str, Any], tmp_path: Path
) -> None:
    """After a signal the best model so far is in `last_model/`, and an earlier `best_model/` is as it was."""
    train(_config(tiny_settings, tmp_path, training={"num_epochs": 1}))
    before = _hash(tmp_path / "best_model" / "model.safetensors")

    def stop(event: Event) -> None:
        if isinstance(event, StepReport) and event.step == 8:
            raise Stopped(15)

    with pytest.raises(Stopped):
        train(_config(tiny_settings, tmp_path, training={"seed": 5}, logging={"eval_interval": 4}), stop)
    assert _hash(tmp_path / "best_model" / "model.safetensors") == before
    assert (tmp_path / "last_model" / "model.safetensors").is_file()
    assert not list(tmp_path.glob(".best_model*"))


BAD = {
    "device that is not there": (MachineError, {"training": {"device": "cuda:7"}}),
    "model folder that is not there": (ModelError, {"model": {"name": "./nowhere"}}),
    "data that is not there": (DataError, {"data": {"dataset": "./nowhere.csv"}}),
    "num_labels against the data": (ConfigError, {"model": {"num_labels": 3}}),
    "max_length above the limit": (ConfigError, {"model": {"max_length": 4000}}),
    "column that is not there": (DataError, {"data": {"text_column": "txt"}}),
    "split that is not there": (DataError, {"data": {"test_split": "tset"}}),
    "slice of one class": (DataError, {"data": {"train_split": "train[:1]"}}),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_changes_nothing_on_disk(tiny_settings: dict[str, Any], tmp_path: Path, case: str) -> None:
    """Each is refused with its own kind of error, with a fix, before anything is written."""
    kind, changes = BAD[case]
    config = _config(tiny_settings, tmp_path, **changes)
    store = _hash(tmp_path / "mlflow.db")
    with pytest.raises(kind) as caught:
        train(config)
    assert isinstance(caught.value, ForgeError)
    assert all(problem.where and problem.what and problem.fix for problem in caught.value.problems)
    assert [file.name for file in tmp_path.iterdir()] == ["mlflow.db"]
    assert _hash(tmp_path / "mlflow.db") == store


def test_failed_run_leaves_the_older_model(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """A loss that runs away ends the run with TrainingError; nothing half done stays beside the older model."""
    train(_config(tiny_settings, tmp_path, training={"num_epochs": 1}))
    before = _hash(tmp_path / "best_model" / "model.safetensors")

    def poison(event: Event) -> None:
        if isinstance(event, StepReport) and event.step == 3:
            raise TrainingError.at("training step 4", "not finite", "try less")

    with pytest.raises(TrainingError):
        train(_config(tiny_settings, tmp_path), poison)
    assert _hash(tmp_path / "best_model" / "model.safetensors") == before
    assert not list(tmp_path.glob(".best_model*"))


@pytest.mark.usefixtures("stopping")
@pytest.mark.parametrize("older", [True, False])
def test_signal_while_publishing_ends_with_the_new_model(
    tiny_settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, older: bool
) -> None:
    """A stop at the moment of the last move leaves the new `best_model/`; no older one passes for the best so far."""
    if older:
        train(_config(tiny_settings, tmp_path, training={"num_epochs": 1}))
    flush = publishing._flush_folder

    def then_stop(folder: Path) -> None:
        flush(folder)
        manifest = tmp_path / "best_model" / "forgeml.json"
        if folder == tmp_path and manifest.is_file() and '"seed": 5' in manifest.read_text():
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(publishing, "_flush_folder", then_stop)
    events: list[Event] = []
    with pytest.raises(Stopped):
        train(_config(tiny_settings, tmp_path, training={"num_epochs": 1, "seed": 5}), events.append)
    manifest = json.loads((tmp_path / "best_model" / "forgeml.json").read_text())
    assert manifest["config"]["training"]["seed"] == 5
    assert not (tmp_path / "last_model").exists()
    assert not list(tmp_path.glob(".best_model*"))
    assert not [event for event in events if isinstance(event, Note) and "best model so far" in event.text]


def test_length_that_was_found_is_saved_and_tracked(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """Without `model.max_length` the manifest and MLflow hold the model's own limit, which the run used."""
    settings = {**tiny_settings, "model": {"name": tiny_settings["model"]["name"]}}
    train(_config(settings, tmp_path, training={"num_epochs": 1}))
    manifest = json.loads((tmp_path / "best_model" / "forgeml.json").read_text())
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert manifest["config"]["model"]["max_length"] == 128
    assert run.data.params["model.max_length"] == "128"
