"""Every recipe in a whole run: the model that comes of it, and that it comes again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from forgeml.config.schema import Config, MlflowConfig
from forgeml.events import Evaluation, Event, Note, StepReport
from forgeml.inference.classifier import Classifier
from forgeml.training import train as module
from forgeml.training.fine_tune import Surroundings, fine_tune
from forgeml.training.materials import gather
from forgeml.training.outputs import Outputs
from forgeml.training.tracking.tracker import Tracker
from forgeml.training.train import train

RECIPES: Mapping[str, dict[str, Any]] = {
    "none": {},
    "layer_decay": {"layer_decay": 0.7},
    "label_smoothing": {"label_smoothing": 0.2},
    "lora_rank": {"lora_rank": 4, "learning_rate": 1e-2},
    "freeze_layers": {"freeze_layers": 1},
    "average_last": {"average_last": 3},
    "all": {
        "layer_decay": 0.7,
        "label_smoothing": 0.2,
        "lora_rank": 4,
        "freeze_layers": 1,
        "average_last": 2,
        "learning_rate": 1e-2,
        "patience": 4,
    },
}
TEXTS = ["A warm and witty film.", "Boring, clumsy and bad; thanks!", "the house by the river"]


class _Untracked(Tracker):
    """A tracker without a run, which keeps the names under which evaluations come."""

    def __init__(self, config: MlflowConfig, output: Path, warn: Callable[[str], None], continued: None = None) -> None:
        super().__init__(config, output, warn, continued)
        self.prefixes: list[str] = []

    def _begin(self) -> None:
        """MLflow takes longer than the training."""

    def log_evaluation(self, evaluation: Evaluation, prefix: str = "") -> None:
        """Keep the prefix."""
        self.prefixes.append(prefix)


@dataclass(frozen=True)
class Runs:
    """One run of each recipe on an encoder that knows the words already, so that little training is enough."""

    settings: dict[str, Any]
    folder: Path
    events: Mapping[str, list[Event]]

    def config(self, recipe: str, folder: Path) -> Config:
        """Of a run that writes there."""
        training = {**self.settings["training"], "num_epochs": 2, **RECIPES[recipe]}
        own = {"training": training, "logging": {"eval_interval": 7}, "output_dir": str(folder)}
        return Config.model_validate({**self.settings, **own})

    def saved(self, recipe: str) -> Path:
        """The folder of a recipe's model."""
        return self.folder / recipe / "best_model"


def _ignore(event: object) -> None:
    """Nobody watches."""


def _hash(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def runs(trained: Path, tiny_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """All of them, on the encoder of the shared training with a new head."""
    folder = tmp_path_factory.mktemp("recipes")
    for part in (AutoModel, AutoTokenizer):
        part.from_pretrained(trained / "best_model").save_pretrained(folder / "encoder")
    model = {**tiny_settings["model"], "name": str(folder / "encoder")}
    events: dict[str, list[Event]] = {name: [] for name in RECIPES}
    runs = Runs({**tiny_settings, "model": model}, folder, events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Tracker", _Untracked)
        for recipe, told in events.items():
            train(runs.config(recipe, folder / recipe), told.append)
    return runs


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_makes_a_plain_model_that_has_learnt(recipe: str, runs: Runs) -> None:
    """The folder has the same files as without recipes, is opened by plain transformers, and answers well."""
    saved = runs.saved(recipe)
    assert {file.name for file in saved.iterdir()} == {file.name for file in runs.saved("none").iterdir()}
    manifest = json.loads((saved / "forgeml.json").read_text())
    assert manifest["config"]["training"].items() >= RECIPES[recipe].items()
    assert manifest["metrics"]["test"]["accuracy"] >= 0.95
    batch = AutoTokenizer.from_pretrained(saved)(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        logits = AutoModelForSequenceClassification.from_pretrained(saved).eval()(**batch).logits
    ours = [answer.scores["pos"] for answer in Classifier.from_pretrained(saved, "cpu").predict(TEXTS)]
    assert ours == pytest.approx(logits.softmax(dim=1)[:, 1].tolist(), abs=1e-5)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_makes_the_same_model_again(recipe: str, runs: Runs, tmp_path: Path) -> None:
    """Another run of the same configuration ends with the same bytes, which are not those of another recipe."""
    config, outputs = runs.config(recipe, tmp_path), Outputs(str(tmp_path))
    tracker = _Untracked(config.mlflow, tmp_path, _ignore)
    fine_tune(config, gather(config, _ignore), Surroundings(tracker, outputs, _ignore, {}))
    averaged = ["averaged."] if "average_last" in RECIPES[recipe] else []
    assert tracker.prefixes == [""] * 4 + averaged
    hashes = {_hash(runs.saved(name)): name for name in RECIPES}
    assert len(hashes) == len(RECIPES)
    assert hashes[_hash(outputs.prepared)] == recipe


@pytest.mark.parametrize("recipe", RECIPES)
def test_told_learning_rate_is_the_configured_one(recipe: str, runs: Runs) -> None:
    """Whatever the lower layers learn at, a step's rate is that of the head."""
    told = max(event.learning_rate for event in runs.events[recipe] if isinstance(event, StepReport))
    assert told == runs.config(recipe, runs.folder).training.learning_rate


def test_metrics_are_not_smoothed(runs: Runs) -> None:
    """The loss of steps is that of smoothed labels, which cannot be low; that of validation is lower than it can be."""
    steps, evaluations = (
        [event for event in runs.events["label_smoothing"] if isinstance(event, kind)]
        for kind in (StepReport, Evaluation)
    )
    lowest = -(0.9 * torch.tensor(0.9).log() + 0.1 * torch.tensor(0.1).log())
    assert min(report.loss for report in steps) >= float(lowest)
    assert evaluations[-1].metrics["loss"] < float(lowest)


def test_frozen_weights_come_out_as_they_went_in(runs: Runs) -> None:
    """Embeddings and the lowest block are those of the encoder, bit for bit; everything above has learnt."""
    before = load_file(runs.folder / "encoder" / "model.safetensors")
    after = load_file(runs.saved("freeze_layers") / "model.safetensors")
    same = {name for name, weight in before.items() if torch.equal(weight, after[f"bert.{name}"])}
    assert same == {name for name in before if name.startswith(("embeddings.", "encoder.layer.0."))}


def test_adapters_change_matrices_alone(runs: Runs) -> None:
    """Of the encoder LoRA leaves embeddings, biases and norms as they were, and changes each matrix by rank 4."""
    before = load_file(runs.folder / "encoder" / "model.safetensors")
    after = load_file(runs.saved("lora_rank") / "model.safetensors")
    changes = {name: after[f"bert.{name}"] - weight for name, weight in before.items() if "pooler" not in name}
    changed = {name for name, change in changes.items() if change.any()}
    assert changed == {name for name in changes if name.startswith("encoder") and changes[name].dim() == 2}
    assert {int(torch.linalg.matrix_rank(changes[name], atol=1e-5)) for name in changed} == {4}


def test_averaged_weights_compete_with_the_best_single_ones(runs: Runs) -> None:
    """They are evaluated once more after the last step, and kept where no single evaluation is better."""
    events = runs.events["average_last"]
    evaluations = [event for event in events if isinstance(event, Evaluation)]
    notes = [event.text for event in events if isinstance(event, Note) and event.topic == "averaging"]
    assert [evaluation.step for evaluation in evaluations] == [7, 14, 21, 28, 28]
    assert notes[0].startswith("the weights at the last 3 evaluations, in")
    assert notes[1].endswith("it is kept as the best model")
    assert evaluations[-1].metrics["accuracy"] >= max(one.metrics["accuracy"] for one in evaluations)
    saved = json.loads((runs.saved("average_last") / "forgeml.json").read_text())
    assert saved["metrics"]["validation"]["loss"] == pytest.approx(evaluations[-1].metrics["loss"], abs=1e-5)
