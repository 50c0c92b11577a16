"""What comes of a run: the figures of the saved model and the manifest."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forgeml.config.schema import Config, DataConfig
from forgeml.data.source import read_source
from forgeml.data.splits import labelled_split, make_splits
from forgeml.events import Evaluation, TrainingResult
from forgeml.inference.classifier import Classifier
from forgeml.inference.report import evaluate
from forgeml.metrics import FEWEST_POSITIVES, best_thresholds, compute_metrics
from forgeml.model.saved import Classifying
from forgeml.training.materials import gather
from forgeml.training.outputs import Outputs
from forgeml.training.result import WITHOUT_DUPLICATES, score_saved
from forgeml.training.train import train
from tiny import NEGATIVE, NEUTRAL, POSITIVE

KEYS = ["task", "labels", "metrics", "config", "data", "model", "runtime", "versions", "format", "files"]
WORDS = {"praise": POSITIVE.split()[:8], "blame": NEGATIVE.split()[:8], "place": NEUTRAL.split()[-12:]}
QUICK = {"batch_size": 16, "learning_rate": 3e-3, "num_epochs": 4, "precision": "fp32", "device": "cpu"}


def write_rows(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    """A CSV file."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def labelled_rows(count: int, seed: int = 0) -> list[list[str]]:
    """Texts of neutral words with the words of each of their classes in them; the classes joined by commas."""
    chance = random.Random(seed)
    texts: dict[str, list[str]] = {}
    while len(texts) < count:
        names = [name for name in WORDS if chance.random() < 0.4]
        words = chance.choices(NEUTRAL.split()[:30], k=6)
        words += [chance.choice(WORDS[name]) for name in names for _ in range(3)]
        texts.setdefault(" ".join(words), names)
    return [[text, ",".join(names)] for text, names in texts.items() if names]


def trained_on(data: Mapping[str, Any], model: Path, folder: Path, **changes: Any) -> TrainingResult:
    """A quick training on these data, writing to `folder` only."""
    store = {"tracking_uri": f"sqlite:///{folder}/mlflow.db"}
    sections = {"model": {"name": str(model), "max_length": 64}, "data": data, "training": QUICK, "mlflow": store}
    return train(Config.model_validate({**sections, "output_dir": str(folder), **changes}))


def manifest_of(folder: Path) -> dict[str, Any]:
    """`forgeml.json` of a finished run."""
    told: dict[str, Any] = json.loads((folder / "best_model" / "forgeml.json").read_text(encoding="utf-8"))
    return told


@pytest.fixture(scope="module")
def several(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainingResult]:
    """A finished training on texts of several labels, and its result."""
    folder = tmp_path_factory.mktemp("several")
    rows = labelled_rows(420)
    write_rows(folder / "train.csv", ["text", "labels"], rows[:300])
    write_rows(folder / "test.csv", ["text", "labels"], rows[300:])
    out = folder / "out"
    out.mkdir()
    data = {"dataset": {"train": str(folder / "train.csv"), "test": str(folder / "test.csv")}}
    return folder, trained_on(data, tiny_model, out)


def test_manifest_has_its_keys(trained: Path) -> None:
    """The manifest of a run has exactly the promised entries; thresholds only where there are several labels."""
    manifest = manifest_of(trained)
    assert sorted(manifest) == sorted(KEYS)
    assert manifest["runtime"] == {"device": "cpu", "precision": "fp32", "threads": 1, "processes": 1}
    assert manifest["data"].keys() == {
        *("name", "revision", "fingerprint", "rows"),
        *("text_column", "text_pair_column", "label_column", "label_separator", "rare_labels"),
    }
    assert set(manifest["metrics"]) == {"validation", "test"}


def test_configuration_holds_what_was_found(trained: Path) -> None:
    """Task, columns and length stand in the saved configuration, so that it repeats the run."""
    config = manifest_of(trained)["config"]
    assert (config["data"]["task"], config["data"]["text_column"], config["data"]["label_column"]) == (
        *("single_label", "text", "label"),
    )
    assert config["model"]["max_length"] == 64
    Config.model_validate(config)


@pytest.mark.slow
def test_thresholds_stand_by_class_name(several: tuple[Path, TrainingResult]) -> None:
    """Each class has the threshold that was best on validation, between 0 and 1, and the classifier uses it."""
    manifest = manifest_of(several[0] / "out")
    assert (manifest["task"], manifest["labels"]) == ("multi_label", ["blame", "place", "praise"])
    assert sorted(manifest) == sorted([*KEYS, "thresholds"])
    assert list(manifest["thresholds"]) == manifest["labels"]
    assert all(0 < threshold < 1 for threshold in manifest["thresholds"].values())
    classifier = Classifier.from_pretrained(several[0] / "out" / "best_model", "cpu")
    assert classifier.thresholds.tolist() == list(manifest["thresholds"].values())
    text = " ".join([*WORDS["praise"][:3], *WORDS["place"][:3], "the", "with"])
    (answer,) = classifier.predict([text])
    assert answer.labels == tuple(
        sorted(
            (name for name, score in answer.scores.items() if score >= manifest["thresholds"][name]),
            key=lambda name: -answer.scores[name],
        )
    )


@pytest.mark.slow
def test_thresholds_are_those_of_validation(several: tuple[Path, TrainingResult]) -> None:
    """Chosen again from the saved model's logits of validation, they come out the same; test has no part in them."""
    folder, result = several
    manifest = manifest_of(folder / "out")
    config = Config.model_validate(manifest["config"])
    classifier = Classifier.from_pretrained(folder / "out" / "best_model", "cpu")
    splits = make_splits(read_source(config.data), config.data, config.training.seed)
    logits = classifier.logits(splits.validation.texts)
    chosen = best_thresholds(logits, splits.validation.labels)
    assert chosen == pytest.approx(list(manifest["thresholds"].values()), abs=1e-5)
    assert splits.validation.labels.sum(axis=0).min() >= FEWEST_POSITIVES
    figures = compute_metrics("multi_label", logits, splits.validation.labels, chosen)
    assert dict(result.metrics["validation"]) == pytest.approx(figures, abs=1e-4)


@pytest.mark.slow
def test_figures_of_test_come_out_again(several: tuple[Path, TrainingResult]) -> None:
    """`evaluate` on the same file gives what the manifest says, thresholds included, and it was learnt."""
    folder, result = several
    classifier = Classifier.from_pretrained(folder / "out" / "best_model", "cpu")
    data = DataConfig(dataset={"test": str(folder / "test.csv")}, task="multi_label", label_separator=",")
    part = labelled_split(read_source(data), "test", data, classifier.labels)
    assert dict(evaluate(classifier, part).metrics) == pytest.approx(dict(result.metrics["test"]), abs=1e-5)
    assert result.metrics["test"]["micro_f1"] > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("copies", [0, 7])
def test_figures_without_duplicates(copies: int, tiny_model: Path, reviews: Path, tmp_path: Path) -> None:
    """They appear exactly when texts of test stand in train, and are those of scoring without these texts."""
    with (reviews / "train.csv").open(newline="") as stream:
        train_rows = list(csv.reader(stream))[1:]
    with (reviews / "test.csv").open(newline="") as stream:
        test_rows = list(csv.reader(stream))[1:]
    # Letter case and white space do not make another text; some labels are wrong, so that the figures differ.
    taken = [[f"  {text.upper()} ", ("neg", "pos")[label == "neg"]] for text, label in train_rows[:copies]]
    write_rows(tmp_path / "train.csv", ["text", "label"], train_rows)
    write_rows(tmp_path / "test.csv", ["text", "label"], [*test_rows[:20], *taken, *test_rows[20:40]])
    write_rows(tmp_path / "clean.csv", ["text", "label"], test_rows[:40])
    out = tmp_path / "out"
    out.mkdir()
    # With all of train in train, every copy is one.
    write_rows(tmp_path / "validation.csv", ["text", "label"], test_rows[40:])
    data = {"dataset": {name: str(tmp_path / f"{name}.csv") for name in ("train", "validation", "test")}}
    result = trained_on(data, tiny_model, out, training={**QUICK, "num_epochs": 2})
    assert (WITHOUT_DUPLICATES in result.metrics) == bool(copies)
    assert (WITHOUT_DUPLICATES in manifest_of(out)["metrics"]) == bool(copies)
    classifier = Classifier.from_pretrained(out / "best_model", "cpu")
    clean = DataConfig(dataset={"test": str(tmp_path / "clean.csv")})
    part = labelled_split(read_source(clean), "test", clean, classifier.labels)
    name = WITHOUT_DUPLICATES if copies else "test"
    assert dict(evaluate(classifier, part).metrics) == pytest.approx(dict(result.metrics[name]), abs=1e-5)
    if copies:
        assert result.metrics["test"]["accuracy"] != result.metrics[name]["accuracy"]


def test_figures_are_tracked_with_their_number_of_examples(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """Every part's figures go to the tracker, each with how many texts they are of."""

    class Recorder:
        def __init__(self) -> None:
            self.told: list[tuple[Evaluation, str]] = []

        def log_evaluation(self, evaluation: Evaluation, prefix: str = "") -> None:
            self.told.append((evaluation, prefix))

    materials = gather(Config.model_validate({**tiny_settings, "output_dir": str(tmp_path)}), lambda event: None)
    outputs = Outputs(str(tmp_path))
    outputs.keep(Classifying(materials.model, materials.tokenizer, materials.cut.max_length))
    recorder = Recorder()
    scored = score_saved(outputs, materials, recorder, lambda event: None)  # type: ignore[arg-type]
    assert [(told.split, told.examples, prefix) for told, prefix in recorder.told] == [
        ("validation", 24, "best."),
        ("test", 80, "best."),
    ]
    assert {told.split: told.metrics for told, _ in recorder.told} == scored.metrics
    assert scored.thresholds is None


@pytest.mark.slow
def test_regression_is_scored_in_the_unit_of_the_labels(tiny_model: Path, tmp_path: Path) -> None:
    """Numbers are learnt at a scale of their own and told, scored and saved as they were written."""
    chance = random.Random(3)
    rows: dict[str, str] = {}
    while len(rows) < 300:
        good = chance.randint(0, 6)
        words = chance.choices(NEUTRAL.split()[:30], k=4) + chance.choices(WORDS["praise"], k=good)
        words += chance.choices(WORDS["blame"], k=6 - good)
        chance.shuffle(words)
        rows[" ".join(words)] = f"{1000 + 100.5 * good:.1f}"
    write_rows(tmp_path / "train.csv", ["text", "price"], [list(row) for row in rows.items()])
    out = tmp_path / "out"
    out.mkdir()
    data = {"dataset": str(tmp_path / "train.csv"), "label_column": "price", "test_split": 0.2}
    result = trained_on(data, tiny_model, out, training={**QUICK, "num_epochs": 6})
    manifest = manifest_of(out)
    assert (manifest["task"], manifest["labels"]) == ("regression", ["price"])
    numbers = np.array([float(number) for number in rows.values()])
    # Saying the mean every time would be off by the deviation.
    assert result.metrics["test"]["rmse"] < 0.7 * numbers.std()
    assert result.metrics["test"]["pearson"] > 0.8
    classifier = Classifier.from_pretrained(out / "best_model", "cpu")
    good, bad = (
        answer.value for answer in classifier.predict([" ".join(WORDS[name][:6]) for name in ("praise", "blame")])
    )
    assert 900 < bad < good < 1800
