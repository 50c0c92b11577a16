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
FULL_SIZE = {"training.num_epochs": "1", "training.device": "cpu"}
JOBS: dict[str, tuple[str, dict[str, str]]] = {
    **{name: ("config.yaml", SMALL | {"model.name": name, "output_dir": f"runs/{name}"}) for name in NAMES},
    "tweets": ("configs/tweets.yaml", FULL_SIZE),
    # The text column is to be found without being named.
    "amazon": ("configs/amazon.yaml", FULL_SIZE | {"data.text_column": "null", "model.max_length": "64"}),
    "wrong split": ("config.yaml", SMALL | {"data.test_split": "tset"}),
}
RUN_JOBS = """
import json, sys
from forgeml import load_config, train
from forgeml.config.loading import parse_overrides
from forgeml.errors import DataError

results = {}
for name, (file, flags) in json.loads(sys.argv[1]).items():
    try:
        results[name] = train(load_config(file, parse_overrides(flags))).folder
    except DataError as error:
        results[name] = str(error)
print(json.dumps(results))
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
        return manifest_in(self.folder / "best_model")

    @property
    def weights(self) -> str:
        """SHA-256 of the saved weights."""
        return hashlib.sha256((self.folder / "best_model" / "model.safetensors").read_bytes()).hexdigest()

    def line(self, topic: str) -> str:
        """The line on stderr that begins with this word."""
        return next(line for line in self.stderr.splitlines() if line.startswith(f"{topic} "))


def manifest_in(folder: Path) -> dict[str, Any]:
    """What a saved folder says of itself."""
    return dict(json.loads((folder / "forgeml.json").read_text(encoding="utf-8")))


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


@pytest.fixture(scope="module")
def jobs(hub: LocalHub, home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path | str]:
    """The folders that the jobs saved, or the words they failed with; all in one process, by the Python front door."""
    folder = tmp_path_factory.mktemp("jobs")
    wanted = {name: (str(REPOSITORY / file), flags(settings)) for name, (file, settings) in JOBS.items()}
    run = python(hub, home, folder, "-c", RUN_JOBS, json.dumps(wanted))
    results = json.loads(run.stdout.splitlines()[-1])
    return {name: said if "\n" in said else folder / said for name, said in results.items()}


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
        timeout=240,
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
    assert data.endswith("; rows: train 36, validation 4, test 20")
    assert "one of 2 classes: neg, pos; from the columns text to label" in first.line("task")
    assert "epoch 1.00" in first.line("validation")
    assert "best_model" in first.line("result")


def test_libraries_keep_quiet_in_files_and_pipes(runs: tuple[Run, Run]) -> None:
    """Where stderr is no terminal, every line must be one of ForgeML's own: no bars, no logs, no warnings."""
    # Topics are padded; the work that is in progress may have a longer name, and ends with how much is done.
    own = re.compile(r"[a-z]+ {2,}\S|(read|look for duplicates in|tokenize|score) \S+ +\d+/\d+ *$")
    for run in runs:
        strange = [line for line in run.stderr.splitlines() if line and not own.match(line)]
        assert strange == []


def test_run_offline_makes_the_same_model(runs: tuple[Run, Run]) -> None:
    """From the cache alone the same weights must come, said to be made from the same commits."""
    first, again = runs
    assert again.weights == first.weights
    assert [again.manifest[part] for part in ("model", "data")] == [first.manifest[part] for part in ("model", "data")]
    assert ", cached in " in again.line("model")
    assert ", cached in " in again.line("data")


@pytest.mark.parametrize("name", NAMES)
def test_models_train_by_their_short_names(hub: LocalHub, jobs: dict[str, Path], name: str) -> None:
    """Each model that the guide lists must be fetched by its short name and trained, as the class that it is."""
    architecture, repository = NAMES[name]
    assert json.loads((jobs[name] / "config.json").read_text(encoding="utf-8"))["model_type"] == architecture
    assert manifest_in(jobs[name])["model"] == {"name": repository, "commit": hub.commit("models", repository)}


def test_early_configuration_still_runs(hub: LocalHub, home: Path, tmp_path: Path) -> None:
    """The words of an early ForgeML must work: fp16 falls back with a note, ./mlruns holds the store."""
    run = train_py(hub, home, tmp_path, "configs/early.yaml", SMALL)
    assert run.manifest["model"]["name"] == "google-bert/bert-base-uncased"
    assert run.manifest["runtime"]["precision"] != "fp16"
    assert "fp16" in run.line("machine")
    assert (tmp_path / "mlruns" / "mlflow.db").is_file()


def test_tweets_are_three_classes(jobs: dict[str, Path]) -> None:
    """The example for tweets must train on the sentiment subset, with its own validation split."""
    manifest = manifest_in(jobs["tweets"])
    assert manifest["labels"] == ["negative", "neutral", "positive"]
    assert manifest["data"]["rows"] == {"train": 90, "validation": 30, "test": 30}
    assert manifest["data"]["name"] == "cardiffnlp/tweet_eval"


def test_amazon_reviews_are_read_from_their_own_column(jobs: dict[str, Path]) -> None:
    """The example for Amazon must train, with a share for validation, and the text column need not be named."""
    manifest = manifest_in(jobs["amazon"])
    assert manifest["data"]["text_column"] == "content"
    assert manifest["data"]["rows"] == {"train": 114, "validation": 6, "test": 60}


def test_wrong_split_lists_those_there_are(jobs: dict[str, str]) -> None:
    """A split that the data set does not have must be told with those that it has."""
    assert "stanfordnlp/imdb has no split 'tset'; it has train, test, unsupervised" in jobs["wrong split"]
    assert "did you mean test?" in jobs["wrong split"]
