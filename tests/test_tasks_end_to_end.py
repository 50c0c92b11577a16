"""Every task from data to a model in use: what is saved, and that all who open it answer the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from transformers import pipeline

from engines_made import with_all_engines
from forgeml import Classifier, train
from forgeml.config.schema import Config
from forgeml.events import TrainingResult
from forgeml.inference.engines import ENGINES
from refusals import answer_of
from tiny import write_long_reviews, write_pairs, write_scores, write_titled, write_topics

pytestmark = pytest.mark.slow

TEXTS = [
    "A warm and witty film.",
    "Boring, clumsy and bad; thanks!",
    "the house by the river",
    "oh wow, totally dull",
    "lovely",
]
SECONDS = ["A charming story.", "It was lovely.", "the garden by the road", "a dull plot", "ugly"]


@dataclass(frozen=True)
class Case:
    """A task, with data of its own and what is to be found in the saved folder."""

    write: Callable[[Path], Path]
    task: str
    problem_type: str
    labels: list[str]
    columns: dict[str, Any]
    """Of the manifest's `data`."""
    metric: str
    """A figure that tells whether something was learnt."""
    least: float
    """What the tiny model reaches of it; pairs ask for more steps than these."""
    settings: dict[str, dict[str, Any]]
    pairs: bool = False


SEVERAL, NUMBER, ONE = "multi_label_classification", "regression", "single_label_classification"
TOPICS = ["bad", "good", "wry"]
ALONE = {"text_column": "text", "text_pair_column": None, "label_separator": None}
TWO = {"text_column": "sentence1", "text_pair_column": "sentence2", "label_separator": None}

CASES = {
    "names joined by blanks": Case(
        lambda folder: write_topics(folder, "blank"),
        "multi_label",
        SEVERAL,
        TOPICS,
        {**ALONE, "label_column": "labels", "label_separator": " "},
        "macro_f1",
        0.6,
        {},
    ),
    "names joined by bars": Case(
        lambda folder: write_topics(folder, "bar"),
        "multi_label",
        SEVERAL,
        TOPICS,
        {**ALONE, "label_column": "labels", "label_separator": "|"},
        "macro_f1",
        0.6,
        {},
    ),
    "lists of names": Case(
        lambda folder: write_topics(folder, "list"),
        "multi_label",
        SEVERAL,
        TOPICS,
        {**ALONE, "label_column": "labels"},
        "macro_f1",
        0.6,
        {},
    ),
    "numbers": Case(
        write_scores, "regression", NUMBER, ["score"], {**ALONE, "label_column": "score"}, "pearson", 0.7, {}
    ),
    "pairs": Case(
        lambda folder: write_pairs(folder, scored=False),
        "single_label",
        ONE,
        ["other", "same"],
        {**TWO, "label_column": "label"},
        "accuracy",
        0.0,
        {},
        pairs=True,
    ),
    "numbers of pairs": Case(
        lambda folder: write_pairs(folder, scored=True),
        "regression",
        NUMBER,
        ["score"],
        {**TWO, "label_column": "score"},
        "pearson",
        -1.0,
        {},
        pairs=True,
    ),
    "two columns": Case(
        write_titled,
        "single_label",
        ONE,
        ["neg", "pos"],
        {**ALONE, "text_column": ["title", "content"], "label_column": "label"},
        "accuracy",
        0.8,
        {"data": {"text_column": ["title", "content"]}},
    ),
    "windows": Case(
        write_long_reviews,
        "single_label",
        ONE,
        ["neg", "pos"],
        {**ALONE, "label_column": "label"},
        "accuracy",
        0.8,
        {"model": {"long_texts": "windows", "max_length": 48}},
    ),
}


@dataclass(frozen=True)
class Run:
    """A finished training of a case."""

    case: Case
    data: Path
    folder: Path
    """The saved model."""
    store: str
    result: TrainingResult

    @property
    def manifest(self) -> dict[str, Any]:
        """`forgeml.json`."""
        found: dict[str, Any] = json.loads((self.folder / "forgeml.json").read_text())
        return found

    def predictions(self) -> list[dict[str, Any]]:
        """What the classifier says of the texts above."""
        classifier = Classifier.from_pretrained(self.folder, "cpu")
        answers = classifier.predict(TEXTS, SECONDS if self.case.pairs else None)
        return [answer.as_dict() for answer in answers]


@pytest.fixture(scope="module", params=CASES)
def run(request: pytest.FixtureRequest, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One training of each case, into a folder of its own."""
    case, folder = CASES[request.param], tmp_path_factory.mktemp("run")
    data, store = case.write(folder / "data"), f"sqlite:///{folder}/mlflow.db"
    settings = {
        "model": {"name": str(tiny_model), "max_length": 64, **case.settings.get("model", {})},
        "data": {"dataset": str(data), **case.settings.get("data", {})},
        "training": {"learning_rate": 3e-3, "num_epochs": 6, "precision": "fp32", "device": "cpu"},
        "mlflow": {"tracking_uri": store},
        "output_dir": str(folder / "out"),
    }
    result = train(Config.model_validate(settings))
    return Run(case, data, Path(result.folder), store, result)


def test_manifest_names_task_labels_and_columns(run: Run) -> None:
    """`forgeml.json` has all that is needed to read such data again, and the figures of both parts."""
    manifest = run.manifest
    assert (manifest["task"], manifest["labels"]) == (run.case.task, run.case.labels)
    assert {name: manifest["data"][name] for name in run.case.columns} == run.case.columns
    assert manifest["config"]["data"]["task"] == run.case.task
    assert manifest["metrics"].keys() >= {"validation", "test"}
    assert manifest["metrics"] == run.result.metrics
    if run.case.task == "multi_label":
        assert list(manifest["thresholds"]) == run.case.labels
        assert all(0 < threshold < 1 for threshold in manifest["thresholds"].values())
    else:
        assert "thresholds" not in manifest


def test_something_was_learnt(run: Run) -> None:
    """The figure is there, and is better than that of chance."""
    assert run.manifest["metrics"]["test"][run.case.metric] > run.case.least


def test_configuration_of_the_model_says_the_same(run: Run) -> None:
    """Plain transformers finds the kind of problem and the names of the outputs in `config.json`."""
    config = json.loads((run.folder / "config.json").read_text())
    assert config["problem_type"] == run.case.problem_type
    assert config["id2label"] == {str(place): name for place, name in enumerate(run.case.labels)}
    assert config["label2id"] == {name: place for place, name in enumerate(run.case.labels)}


def test_plain_transformers_gives_the_same_numbers(run: Run) -> None:
    """A pipeline that knows nothing of ForgeML applies the right function to the same logits."""
    plain = pipeline("text-classification", model=str(run.folder), top_k=None, device="cpu")
    texts: Any = TEXTS
    if run.case.pairs:
        texts = [{"text": one, "text_pair": other} for one, other in zip(TEXTS, SECONDS, strict=True)]
    for said, answer in zip(plain(texts), run.predictions(), strict=True):
        scores = {one["label"]: one["score"] for one in said}
        wanted = {run.case.labels[0]: answer["value"]} if run.case.task == "regression" else answer["scores"]
        assert scores == pytest.approx(wanted, abs=1e-5)


def test_answer_follows_from_the_scores(run: Run) -> None:
    """One label is the likeliest; several are those at their thresholds, the likeliest first; a number stands alone."""
    thresholds = run.manifest.get("thresholds", {})
    for answer in run.predictions():
        if run.case.task == "regression":
            assert answer.keys() == {"value"}
        elif run.case.task == "multi_label":
            over = [name for name, score in answer["scores"].items() if score >= thresholds[name]]
            assert answer["labels"] == sorted(over, key=lambda name: -answer["scores"][name])
        else:
            assert answer["label"] == max(answer["scores"], key=answer["scores"].get)
            assert sum(answer["scores"].values()) == pytest.approx(1)


def test_command_predicts_the_same(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """`forgeml predict --json` says what the classifier says, a line for each text; the table is for people."""
    pairs = [word for second in SECONDS for word in ("--pair", second)] if run.case.pairs else []
    answer = answer_of(capsys, "predict", run.folder, *TEXTS, *pairs, "--device", "cpu", "--json")
    assert answer.code == 0, answer.err
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert [line.pop("text") for line in lines] == TEXTS
    assert not run.case.pairs or [line.pop("text_pair") for line in lines] == SECONDS
    assert lines == run.predictions()
    table = answer_of(capsys, "predict", run.folder, *TEXTS, *pairs, "--device", "cpu")
    assert table.code == 0
    assert TEXTS[2] in table.out


def test_command_scores_as_the_training_did(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """`forgeml evaluate --json` on the test file gives the figures of the manifest, without a word on the columns."""
    answer = answer_of(capsys, "evaluate", run.folder, run.data, "--device", "cpu", "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert (told["split"], told["examples"]) == ("test", run.manifest["data"]["rows"]["test"])
    assert told["metrics"] == pytest.approx(run.manifest["metrics"]["test"], abs=1e-5)


def test_mlflow_gives_the_same_answers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The logged model, opened by MLflow alone, says what the classifier says."""
    # MLflow's own setter would stay in force for all later tests of this process.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", run.store)
    logged = mlflow.pyfunc.load_model(f"models:/{run.result.model_id}")
    table = {"text": TEXTS} | ({"text_pair": SECONDS} if run.case.pairs else {})
    answers = logged.predict(pd.DataFrame(table))
    for answer, wanted in zip(answers, run.predictions(), strict=True):
        assert answer.keys() == wanted.keys()
        for name, value in wanted.items():
            close = isinstance(value, float | dict)
            assert answer[name] == (pytest.approx(value, abs=1e-6) if close else value)


def test_every_engine_answers_for_every_task(run: Run, tmp_path: Path) -> None:
    """In fp32 as torch does to 1e-5; in bf16 and in eight bits nearly so. Files and texts give the same."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    place = with_all_engines(run.folder, tmp_path / "engines", pairs=run.case.pairs)
    seconds = SECONDS if run.case.pairs else None
    exact = run.predictions()
    for name, kind in ENGINES.items():
        answers = Classifier.from_pretrained(place, "cpu", name).predict(TEXTS, seconds)
        for answer, wanted in zip(answers, exact, strict=True):
            found = answer.as_dict()
            values = {"value": found["value"]} if "value" in found else found["scores"]
            expected = {"value": wanted["value"]} if "value" in wanted else wanted["scores"]
            assert values == pytest.approx(expected, abs=1e-5 if kind.precision == "fp32" else 0.15), name


def test_truncation_does_not_read_what_windows_read(tiny_model: Path, tmp_path: Path) -> None:
    """Where nothing before the cut tells the class, which windows learn, truncation is no better than chance."""
    settings = {
        "model": {"name": str(tiny_model), "max_length": 48},
        "data": {"dataset": str(write_long_reviews(tmp_path / "data"))},
        "training": {"learning_rate": 3e-3, "num_epochs": 2, "precision": "fp32", "device": "cpu"},
        "mlflow": {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"},
    }
    assert train(Config.model_validate(settings)).metrics["test"]["accuracy"] < 0.75
