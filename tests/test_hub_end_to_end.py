"""The whole way, as in the user's first hour: `python train.py` fetches model and data from a hub, and trains."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from architectures import Architecture, write_as
from conftest import REPOSITORY
from local_hub import LocalHub
from tiny import write_amazon_like_dataset, write_imdb_like_dataset, write_tiny_bert, write_tweet_eval_like_dataset

pytestmark = pytest.mark.slow

NAMES: dict[str, tuple[Architecture, str]] = {
    "distilbert-base-uncased": ("distilbert", "distilbert/distilbert-base-uncased"),
    "bert-base-uncased": ("bert", "google-bert/bert-base-uncased"),
    "roberta-base": ("roberta", "FacebookAI/roberta-base"),
    "albert-base-v2": ("albert", "albert/albert-base-v2"),
}
SMALL = {
    # The data set is sorted by class, so these rows are of both.
    "data.train_split": "train[40:80]",
    "data.test_split": "test[20:40]",
    "model.max_length": "64",
    "training.num_epochs": "1",
    "training.device": "cpu",
}
ALL_ARCHITECTURES = """
import json, sys
from forgeml import load_config, train
from forgeml.config.loading import parse_overrides

file, names, flags = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
trained = {}
for name in names:
    config = load_config(file, parse_overrides([*flags, "--model.name", name, "--output_dir", name]))
    trained[name] = train(config).folder
print(json.dumps(trained))
"""


@dataclass(frozen=True)
class Run:
    """One finished process and the folder that it ran in."""

    folder: Path
    stdout: str
    stderr: str

    @property
    def manifest(self) -> dict[str, Any]:
        """The saved folder's forgeml.json."""
        return dict(json.loads((self.folder / "best_model" / "forgeml.json").read_text(encoding="utf-8")))

    @property
    def weights(self) -> str:
        """SHA-256 of the saved weights."""
        return hashlib.sha256((self.folder / "best_model" / "model.safetensors").read_bytes()).hexdigest()

    def line(self, topic: str) -> str:
        """The line on stderr that begins with this word."""
        return next(line for line in self.stderr.splitlines() if line.startswith(f"{topic} "))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """A hub with the four models and the three data sets that the configurations name."""
    folder = tmp_path_factory.mktemp("hub")
    bert = write_tiny_bert(folder / "original")
    with LocalHub(folder / "served") as hub:
        for architecture, repository in NAMES.values():
            hub.add_model(repository, write_as(architecture, bert, folder / architecture))
        hub.add_dataset("stanfordnlp/imdb", write_imdb_like_dataset(folder / "imdb"))
        hub.add_dataset("cardiffnlp/tweet_eval", write_tweet_eval_like_dataset(folder / "tweets"))
        hub.add_dataset("fancyzhx/amazon_polarity", write_amazon_like_dataset(folder / "amazon"))
        yield hub


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache, empty at first, that all runs share as those of one user do."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def runs(hub: LocalHub, home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """`python train.py config.yaml` for the first time, and again offline in another folder."""
    first = train_py(hub, home, tmp_path_factory.mktemp("first"), "config.yaml", SMALL)
    hub.down()
    try:
        again = train_py(hub, home, tmp_path_factory.mktemp("again"), "config.yaml", SMALL, offline=True)
    finally:
        hub.up()
    return first, again


def flags(settings: dict[str, str]) -> list[str]:
    """Settings as they are written on a command line."""
    return [word for name, value in settings.items() for word in (f"--{name}", value)]


def python(hub: LocalHub, home: Path, folder: Path, *arguments: str, offline: bool = False) -> Run:
    """Run Python in a folder, with no hub but this one; it has to succeed."""
    environment = {**os.environ, **hub.environment(home, offline=offline), "PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return Run(folder, done.stdout, done.stderr)


def train_py(
    hub: LocalHub, home: Path, folder: Path, file: str, settings: dict[str, str], *, offline: bool = False
) -> Run:
    """Run the repository's train.py with one of its configurations."""
    command = [str(REPOSITORY / "train.py"), str(REPOSITORY / file), *flags(settings)]
    return python(hub, home, folder, *command, offline=offline)


def test_first_run_fetches_trains_and_saves(hub: LocalHub, runs: tuple[Run, Run]) -> None:
    """The shipped configuration must end in a saved model that names the commits it was made from."""
    manifest = runs[0].manifest
    assert manifest["model"]["name"] == "distilbert/distilbert-base-uncased"
    assert manifest["model"]["commit"] == hub.commit("models", "distilbert/distilbert-base-uncased")
    assert manifest["data"]["name"] == "stanfordnlp/imdb"
    assert manifest["data"]["revision"] == hub.commit("datasets", "stanfordnlp/imdb")
    assert manifest["data"]["rows"] == {"train": 36, "validation": 4, "test": 20}
    assert manifest["labels"] == ["neg", "pos"]


def test_first_run_tells_its_steps(runs: tuple[Run, Run], home: Path) -> None:
    """The lines on stderr must tell configuration, model, data, training and result, with sizes and places."""
    first = runs[0]
    assert "config.yaml read" in first.line("configuration")
    model, data = first.line("model"), first.line("data")
    assert re.search(rf"\d+ kB, fetched into {re.escape(str(home))}", model)
    assert re.search(rf"\d+ kB, fetched into {re.escape(str(home))}", data)
    assert "train 36, validation 4, test 20; 2 classes: neg, pos" in data
    assert "epoch 1.00" in first.line("validation")
    assert "best_model" in first.line("result")


def test_libraries_keep_quiet_in_files_and_pipes(runs: tuple[Run, Run]) -> None:
    """Where stderr is no terminal, every line must be one of ForgeML's own: no bars, no logs, no warnings."""
    for run in runs:
        strange = [line for line in run.stderr.splitlines() if line and not re.match(r"[a-z]+ {2,}\S", line)]
        assert strange == []


def test_run_offline_makes_the_same_model(runs: tuple[Run, Run]) -> None:
    """From the cache alone the same weights must come, said to be made from the same commits."""
    first, again = runs
    assert again.weights == first.weights
    assert [again.manifest[part] for part in ("model", "data")] == [first.manifest[part] for part in ("model", "data")]
    assert ", cached in " in again.line("model")
    assert ", cached in " in again.line("data")


def test_all_four_models_train_by_their_short_names(hub: LocalHub, home: Path, tmp_path: Path) -> None:
    """Each model that the guide lists must be fetched by its short name and trained through the Python door."""
    file = str(REPOSITORY / "config.yaml")
    run = python(hub, home, tmp_path, "-c", ALL_ARCHITECTURES, file, ",".join(NAMES), *flags(SMALL))
    assert json.loads(run.stdout.splitlines()[-1]).keys() == NAMES.keys()
    for name, (architecture, repository) in NAMES.items():
        saved = tmp_path / name / "best_model"
        assert json.loads((saved / "config.json").read_text(encoding="utf-8"))["model_type"] == architecture
        made_from = json.loads((saved / "forgeml.json").read_text(encoding="utf-8"))["model"]
        assert made_from == {"name": repository, "commit": hub.commit("models", repository)}


def test_early_configuration_still_runs(hub: LocalHub, home: Path, tmp_path: Path) -> None:
    """The words of an early ForgeML must work: fp16 falls back with a note, ./mlruns holds the store."""
    run = train_py(hub, home, tmp_path, "configs/early.yaml", SMALL)
    assert run.manifest["model"]["name"] == "google-bert/bert-base-uncased"
    assert run.manifest["runtime"]["precision"] != "fp16"
    assert "fp16" in run.line("machine")
    assert (tmp_path / "mlruns" / "mlflow.db").is_file()


def test_tweets_are_three_classes(hub: LocalHub, home: Path, tmp_path: Path) -> None:
    """The example for tweets must train on the sentiment subset, with its own validation split."""
    run = train_py(hub, home, tmp_path, "configs/tweets.yaml", {"training.num_epochs": "1", "training.device": "cpu"})
    manifest = json.loads((tmp_path / "runs" / "tweets" / "best_model" / "forgeml.json").read_text(encoding="utf-8"))
    assert manifest["labels"] == ["negative", "neutral", "positive"]
    assert manifest["data"]["rows"] == {"train": 90, "validation": 30, "test": 30}
    assert "cardiffnlp/tweet_eval" in run.line("data")


def test_amazon_reviews_are_read_from_their_own_column(hub: LocalHub, home: Path, tmp_path: Path) -> None:
    """The example for Amazon must train with its slices, and the text column need not be named."""
    settings = {
        "data.text_column": "null",
        "data.train_split": "train[:40]",
        "data.test_split": "test[:20]",
        "model.max_length": "64",
        "training.num_epochs": "1",
        "training.device": "cpu",
    }
    train_py(hub, home, tmp_path, "configs/amazon.yaml", settings)
    manifest = json.loads((tmp_path / "runs" / "amazon" / "best_model" / "forgeml.json").read_text(encoding="utf-8"))
    assert manifest["data"]["text_column"] == "content"
    assert manifest["data"]["rows"] == {"train": 38, "validation": 2, "test": 20}


def test_wrong_split_lists_those_there_are(hub: LocalHub, home: Path, tmp_path: Path) -> None:
    """A split that the data set does not have must end the run with the code for data and the list."""
    environment = {**os.environ, **hub.environment(home), "PYTHONPATH": str(REPOSITORY / "src")}
    command = [
        str(REPOSITORY / "train.py"),
        str(REPOSITORY / "config.yaml"),
        *flags(SMALL | {"data.test_split": "tset"}),
    ]
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "stanfordnlp/imdb has no split 'tset'; it has train, test, unsupervised" in done.stderr
    assert "did you mean test?" in done.stderr
    assert "Traceback" not in done.stderr
