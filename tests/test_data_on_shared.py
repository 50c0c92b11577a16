"""Real data sets of eight kinds, where they lie beside the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import REPOSITORY
from forgeml.config.loading import load_config
from forgeml.config.schema import Config
from forgeml.training.train import train
from refusals import answer_of

SHARED = REPOSITORY.parent / "shared" / "data"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not beside the repository"),
]

# Task, number of outputs, and second text of each set.
SETS: dict[str, tuple[str, int, str | None]] = {
    "imdb": ("single_label", 2, None),
    "tweet_eval_sentiment": ("single_label", 3, None),
    "banking77": ("single_label", 77, None),
    "sms_spam": ("single_label", 2, None),
    "vader_movies": ("single_label", 3, None),
    "goemotions": ("multi_label", 28, None),
    "rte": ("single_label", 2, "text_pair"),
    "stsb": ("regression", 1, "text_pair"),
}


@pytest.mark.parametrize("name", SETS)
def test_init_understands_real_data(name: str, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`forgeml init` finds task, columns and classes, and what it writes loads as it is."""
    task, outputs, pair = SETS[name]
    answer = answer_of(capsys, "init", SHARED / name, "--model", tiny_model)
    assert answer.code == 0, answer.err
    text, config = Path("config.yaml").read_text(encoding="utf-8"), load_config("config.yaml")
    label = {"goemotions": "labels", "stsb": "score"}.get(name, "label")
    found = config.data
    assert (found.task, found.text_column, found.text_pair_column, found.label_column) == (task, "text", pair, label)
    assert found.label_separator == (" " if task == "multi_label" else None)
    assert ("a number, in train from 0 to 5" if task == "regression" else f" of {outputs} classes: ") in text
    parts = {file.name.partition(".")[0] for file in (SHARED / name).glob("*.csv.gz")}
    assert (found.validation_split is None) == ("validation" in parts)


@pytest.mark.parametrize("name", ["goemotions", "stsb", "rte"])
def test_slice_of_real_data_trains(
    name: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run on the beginning of the set ends with a model that scores and answers as its manifest says."""
    task, outputs, pair = SETS[name]
    data: dict[str, Any] = {
        "dataset": str(SHARED / name),
        "train_split": "train[:600]",
        "validation_split": "validation[:200]",
    }
    if name != "rte":
        data["test_split"] = "test[:200]"
    settings = {
        "model": {"name": str(tiny_model), "max_length": 32},
        "data": data,
        "training": {"num_epochs": 1, "learning_rate": 1e-3, "precision": "fp32", "device": "cpu"},
        "mlflow": {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"},
    }
    result = train(Config.model_validate(settings))
    manifest = json.loads(Path(result.folder, "forgeml.json").read_text())
    assert (manifest["task"], manifest["data"]["text_pair_column"]) == (task, pair)
    assert len(manifest["labels"]) == outputs or task == "multi_label"
    part, slice_ = ("validation", "validation[:200]") if name == "rte" else ("test", "test[:200]")
    answer = answer_of(capsys, "evaluate", result.folder, SHARED / name, "--split", slice_, "--device", "cpu", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["metrics"] == pytest.approx(manifest["metrics"][part], abs=1e-5)
