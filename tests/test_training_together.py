"""Several processes take the steps that one would take: the same losses, the same weights, the same figures."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from safetensors.torch import load_file
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from transformers import AutoModelForSequenceClassification

from command import run
from conftest import REPOSITORY
from forgeml.cli.main import main
from forgeml.config.schema import Config
from forgeml.errors import ConfigError, DataError, TrainingError
from forgeml.training import accelerator
from forgeml.training.fine_tune import Surroundings, fine_tune
from forgeml.training.loop import train_steps, whole_weights
from forgeml.training.materials import Materials, gather
from forgeml.training.outputs import Outputs
from forgeml.training.preparing import prepare
from forgeml.training.processes import meet
from forgeml.training.result import score_saved
from forgeml.training.scoring import score_logits
from forgeml.training.tracking.tracker import Tracker
from together import started, together

DIVIDED = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP"}
"""As `accelerate launch --use_fsdp --fsdp_version 2` sets them."""

DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")


class _Dividing(Accelerator):
    """Accelerate divides models among GPUs only, though torch does it among processes without one as well."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.state.distributed_type = DistributedType.FSDP
        self.state.fsdp_plugin = options["fsdp_plugin"]
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP


@pytest.fixture(scope="module")
def still(tiny_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The tiny settings with a model that drops nothing out, for one epoch of 81 texts."""
    folder = tmp_path_factory.mktemp("still") / "model"
    shutil.copytree(tiny_settings["model"]["name"], folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **dict.fromkeys(DROPOUTS, 0.0)}))
    model = {**tiny_settings["model"], "name": str(folder)}
    data = {**tiny_settings["data"], "train_split": "train[:90]"}
    return {"model": model, "data": data, "training": {**tiny_settings["training"], "num_epochs": 1}}


def _gathered(settings: dict[str, Any]) -> Iterator[Materials]:
    config = Config.model_validate(settings)
    with meet(config.training.device) as processes:
        yield gather(config, lambda event: None, processes)


def _run(settings: dict[str, Any], divided: bool = False) -> dict[str, Any]:
    """What a run comes to: figures of the steps, weights, and the model's logits on validation."""
    if divided:
        accelerator.Accelerator = _Dividing
    for materials in _gathered(settings):
        config = Config.model_validate(settings).training
        learner, training_set = prepare(config, materials)
        exchanges = _counted_exchanges(learner.model)
        reports = list(train_steps(learner, training_set, config))
        told: list[int] = []
        encoded, processes = materials.validation, materials.processes
        logits = score_logits(materials.model, encoded, "cpu", told.append, learner.collate, processes)
        assert told[-1] == len(encoded)
        weights = whole_weights(learner)
        weights = materials.model.state_dict() if weights is None else weights
        return {
            "steps": np.array([(report.loss, report.grad_norm, report.learning_rate) for report in reports]),
            "counts": [(report.step, report.total_steps, report.examples) for report in reports],
            "weights": {name: weight.numpy() for name, weight in weights.items()},
            "logits": logits,
            "kind": type(learner.model).__name__,
            "exchanges": len(exchanges),
            "seed": torch.initial_seed(),
        }
    raise AssertionError


def _counted_exchanges(model: torch.nn.Module) -> list[None]:
    """Grows by one whenever the processes exchange gradients, all of which fit into one message."""
    exchanges: list[None] = []

    def exchange(state, bucket):  # noqa: ANN001, ANN202 torch refuses annotations that are texts
        exchanges.append(None)
        return allreduce_hook(None, bucket)

    if isinstance(model, torch.nn.parallel.DistributedDataParallel):
        model.register_comm_hook(None, exchange)
    return exchanges


WINDOWS = {"max_length": 8, "long_texts": "windows"}
CASES = {
    # A batch of one text comes last, which leaves nothing for the other process.
    "three batches a step": ({"batch_size": 5, "gradient_accumulation_steps": 3}, {}, 2, False),
    "windows, three processes": ({"batch_size": 5}, WINDOWS, 3, False),
    "divided": ({"batch_size": 16, "gradient_accumulation_steps": 3}, WINDOWS, 2, True),
}


@pytest.mark.parametrize("case", CASES)
def test_same_as_one_process(still: dict[str, Any], case: str) -> None:
    """Every loss, norm and learning rate, the final weights and the logits are those of one process, in fp32."""
    training, model, count, divided = CASES[case]
    settings = {
        **still,
        "training": {**still["training"], **training},
        "model": {**still["model"], **model},
    }
    alone = _run(settings)
    found = together(_run, settings, divided, count=count, **(DIVIDED if divided else {}))
    for one in found:
        np.testing.assert_allclose(one["steps"], alone["steps"], rtol=0, atol=1e-4)
        assert one["counts"] == alone["counts"]
        np.testing.assert_allclose(one["logits"], alone["logits"], rtol=0, atol=1e-4)
        assert one["kind"] == ("FSDPBertForSequenceClassification" if divided else "DistributedDataParallel")
        assert one["exchanges"] == (0 if divided else len(alone["counts"]))
    # Of a divided model the main process alone gets all.
    for one in found[: 1 if divided else count]:
        assert one["weights"].keys() == alone["weights"].keys()
        for name, weight in one["weights"].items():
            np.testing.assert_allclose(weight, alone["weights"][name], rtol=0, atol=1e-4, err_msg=name)
    assert len({one["seed"] for one in found}) == count


def _twice(settings: dict[str, Any]) -> list[list[float]]:
    return [_run(settings)["steps"][:, 0].tolist() for _ in range(2)]


def test_dropout_is_reproducible(still: dict[str, Any], tiny_settings: dict[str, Any]) -> None:
    """With dropout, several processes give the same losses each time, and not those of one."""
    settings = {**still, "model": tiny_settings["model"]}
    (first, second), (other, _) = together(_twice, settings)
    assert first == second == other
    assert len(first) == 6
    assert first != _run(settings)["steps"][:, 0].tolist()


def _with_unreached(settings: dict[str, Any]) -> tuple[int, bool]:
    """The steps of a model with a layer that nothing goes through, and whether that stays as it was."""
    for materials in _gathered(settings):
        materials.model.extra = torch.nn.Linear(4, 4)
        before = materials.model.extra.weight.clone()
        config = Config.model_validate(settings).training
        steps = len(list(train_steps(*prepare(config, materials), config)))
        return steps, torch.equal(materials.model.extra.weight, before)
    raise AssertionError


def test_weights_that_nothing_reaches_are_left_alone(still: dict[str, Any]) -> None:
    """A model with a pooler that is not used is trained by several processes as well."""
    assert together(_with_unreached, still) == [(6, True), (6, True)]


def _poisoned(settings: dict[str, Any]) -> tuple[str, bool, bool]:
    """What is said of a loss that is not finite in the last process, and whether the weights are as before."""
    for materials in _gathered(settings):
        config = Config.model_validate(settings).training
        learner, training_set = prepare(config, materials)
        if not materials.processes.main:
            learner = replace(learner, loss_sum=lambda logits, labels: logits.sum() * float("inf"))
        before = [weight.clone() for weight in materials.model.parameters()]
        with pytest.raises(TrainingError) as caught:
            next(train_steps(learner, training_set, config))
        after = list(materials.model.parameters())
        return str(caught.value), all(map(torch.equal, before, after)), True
    raise AssertionError


def test_loss_that_is_not_finite_ends_all(still: dict[str, Any]) -> None:
    """What only one process sees stops all at the same step, with the same words, and no weight has changed."""
    one, other = together(_poisoned, still)
    assert one == other
    assert "training step 1: loss" in one[0]
    assert one[1]


def _command(arguments: list[str]) -> None:
    """Run ForgeML as its command does."""
    main(arguments)


def _train(settings: dict[str, Any], folder: Path, *more: str) -> list[str]:
    """The command line of a run that writes to `folder` only."""
    store = {"mlflow": {"tracking_uri": f"sqlite:///{folder}/mlflow.db"}, "output_dir": str(folder)}
    (folder / "config.yaml").write_text(json.dumps({**settings, **store}))
    return ["train", str(folder / "config.yaml"), *more]


def _saved(settings: dict[str, Any], folder: Path, divided: bool) -> dict[str, Any]:
    """What plain transformers finds in the folder that a run keeps, and the figures of it."""
    if divided:
        accelerator.Accelerator = _Dividing
    config, told = Config.model_validate({**settings, "output_dir": str(folder)}), []
    for materials in _gathered(settings):
        outputs = materials.processes.by_main(lambda: Outputs(config.output_dir))
        tracker = Tracker(config.mlflow, folder, told.append)
        fine_tune(config, materials, Surroundings(tracker, outputs, lambda event: None, {}))
        scored = score_saved(outputs, materials, tracker, lambda event: None)
        model = AutoModelForSequenceClassification.from_pretrained(outputs.prepared)
        assert told == []
        return {"metrics": scored.metrics, "kind": type(model).__name__, "weights": model.state_dict()}
    raise AssertionError


def test_divided_model_is_saved_whole(still: dict[str, Any], tmp_path: Path) -> None:
    """Where each process has a part of the weights, the saved model has all, as one process leaves it."""
    alone = _saved(still, tmp_path / "one", False)
    found = together(_saved, still, tmp_path / "two", True, **DIVIDED)
    for one in found:
        assert one["kind"] == alone["kind"] == "BertForSequenceClassification"
        for split, metrics in alone["metrics"].items():
            assert one["metrics"][split] == pytest.approx(metrics, abs=1e-4)
        for name, weight in alone["weights"].items():
            torch.testing.assert_close(one["weights"][name], weight, rtol=0, atol=1e-4, msg=name)


def test_error_ends_all_and_is_said_once(still: dict[str, Any], tmp_path: Path) -> None:
    """What only reading the data shows ends all processes with the same code, and one of them says it."""
    arguments = _train(still, tmp_path, "--data.dataset", "./absent.csv")
    with started(_command, arguments) as running:
        first, second = running.ended()
        assert (first.code, second.code) == (DataError.exit_code, DataError.exit_code)
        assert first.said.count("no file or folder ./absent.csv") == 1, first.said
        assert second.said == ""
    assert [file.name for file in tmp_path.iterdir()] == ["config.yaml"]


def test_stop_ends_all_and_keeps_the_best(still: dict[str, Any], tmp_path: Path) -> None:
    """A signal to all ends all; the main process keeps the best model so far and marks its run, and nothing is left."""
    settings = {**still, "training": {**still["training"], "num_epochs": 10_000}}
    with started(_command, _train(settings, tmp_path)) as running:
        # What is being written has one more part to its name.
        while all(folder.suffix == ".new" for folder in tmp_path.glob(".best_model.*")):
            assert running.processes[0].is_alive()
            time.sleep(0.05)
        for process in running.processes:
            os.kill(process.pid, signal.SIGTERM)
        first, second = running.ended()
        assert (first.code, second.code) == (143, 143), first.said + second.said
        assert first.said.splitlines()[-1] == "stopped"
        assert "the best model so far is in" in first.said
        assert second.said == ""
    kept = ["checkpoints", "config.yaml", "last_model", "mlflow.db", "tracking"]
    assert sorted(file.name for file in tmp_path.iterdir()) == kept
    assert (tmp_path / "last_model" / "model.safetensors").is_file()


@pytest.mark.slow
def test_torchrun_starts_train_py(still: dict[str, Any], tmp_path: Path) -> None:
    """`torchrun --nproc-per-node 2 train.py` has the losses of `python train.py`, one story and one run in MLflow."""
    every = {**still, "logging": {"log_interval": 1}}
    alone = _run(every)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = run(*command, REPOSITORY / "train.py", *_train(every, tmp_path)[1:])
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\nresult ") == done.stderr.count("\ntokens ") == 1
    assert done.stdout.count("accuracy") == 1
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (one,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    losses = [metric.value for metric in client.get_metric_history(one.info.run_id, "train.loss")]
    np.testing.assert_allclose(losses, alone["steps"][:, 0], rtol=0, atol=1e-4)
    for name, weight in load_file(tmp_path / "best_model" / "model.safetensors").items():
        np.testing.assert_allclose(weight, alone["weights"][name], rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_accelerate_launch_starts_several(still: dict[str, Any], tmp_path: Path) -> None:
    """`accelerate launch` starts the processes too; a mistake in the configuration is told once for all of them."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    arguments = _train(still, tmp_path, "--training.sed", "1")
    done = run(*command, "--main_process_port", "0", "-m", "forgeml", *arguments)
    assert done.stderr.count("--training.sed: unknown setting") == 1
    # The launcher may end the other one before that has ended by itself.
    assert f"exitcode  : {ConfigError.exit_code} " in done.stderr
