"""What a run would be, told before it begins."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from forgeml.config.schema import Config
from forgeml.errors import ForgeError
from forgeml.events import Event, Progress
from forgeml.training import plan as module
from forgeml.training.plan import Plan, make_plan
from forgeml.training.train import train

FACTS = ["machine", "model", "data", "lengths", "steps", "disk", "memory", "estimate"]


def config_of(settings: Mapping[str, Any], folder: Path, **changes: dict[str, Any]) -> Config:
    """The tiny settings with some sections changed, writing to `folder` only."""
    merged = {name: {**settings.get(name, {}), **changes.get(name, {})} for name in {*settings, *changes}}
    store = {"tracking_uri": f"sqlite:///{folder}/mlflow.db"}
    return Config.model_validate({**merged, "mlflow": store, "output_dir": str(folder)})


def write_rows(path: Path, header: list[str], rows: list[list[object]]) -> Path:
    """A CSV file."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def planned(tiny_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, list[Event], Path]:
    """The plan of the tiny reviews, what was told on the way, and the folder in which a run would write."""
    folder = tmp_path_factory.mktemp("planned")
    events: list[Event] = []
    return make_plan(config_of(tiny_settings, folder), events.append), events, folder


def test_ready_run_has_all_facts(planned: tuple[Plan, list[Event], Path]) -> None:
    """Every topic is there, nothing stands in the way, and all of it is JSON."""
    found = planned[0]
    told = found.facts
    assert list(told) == list(FACTS)
    assert (found.problems, found.error) == ((), None)
    assert json.loads(json.dumps(told)).keys() == told.keys()


def test_facts_are_those_of_model_and_data(
    planned: tuple[Plan, list[Event], Path], tiny_model: Path, reviews: Path
) -> None:
    """Rows, balance, columns and task of the data, and the model with what it reads."""
    facts = planned[0].facts
    data = facts["data"]
    assert data["rows"] == {"train": 216, "validation": 24, "test": 80}
    assert data["balance"] == {
        "train": {"neg": 108, "pos": 108},
        "validation": {"neg": 12, "pos": 12},
        "test": {"neg": 40, "pos": 40},
    }
    assert (data["task"], data["labels"], data["left_out"]) == ("single_label", ["neg", "pos"], {})
    assert (data["columns"]["text_column"], data["columns"]["label_column"]) == ("text", "label")
    assert data["name"] == str(reviews)
    assert data["duplicates"]["inside"] == {"train": 0, "validation": 0, "test": 0}
    assert [leak["count"] for leak in data["duplicates"]["in_train_too"]] == [0, 0]
    assert data["notes"] == []
    model = facts["model"]
    assert (model["name"], model["max_length"], model["long_texts"]) == (str(tiny_model), 64, "truncate")
    assert facts["machine"]["device"] == "cpu"


def test_lengths_are_those_of_the_texts(planned: tuple[Plan, list[Event], Path]) -> None:
    """The histogram holds every training text once, and its last bar reaches to what the model reads."""
    lengths = planned[0].facts["lengths"]
    assert sum(bar["texts"] for bar in lengths["histogram"]) == 216
    assert [bar["up_to"] for bar in lengths["histogram"]] == [8, 16, 24, 32, 40, 48, 56, 64]
    assert 0 < lengths["mean"] <= lengths["longest"] <= 64
    assert (lengths["cut"], lengths["share_cut"]) == (0, 0.0)


def test_steps_disk_memory_and_estimate(planned: tuple[Plan, list[Event], Path], tiny_model: Path) -> None:
    """Steps are those that the run takes; place, memory and seconds are known and above zero; the parts add up."""
    facts = planned[0].facts
    assert facts["steps"] == {"in_epoch": 14, "in_all": 56}
    assert facts["disk"]["model"] >= 0.9 * (tiny_model / "model.safetensors").stat().st_size
    assert facts["disk"]["free"] > facts["disk"]["needed"] > facts["disk"]["model"] > 0
    assert facts["disk"]["checkpoints"] > facts["disk"]["model"]
    assert all(value > 0 for name, value in facts["memory"].items() if name != "near")
    if "needed" in facts["memory"]:
        assert facts["memory"]["needed"] > facts["memory"]["held"] + facts["memory"]["batch"]
    estimate = facts["estimate"]
    assert list(estimate) == ["gather", "train", "score", "save_and_track", "seconds"]
    assert all(seconds > 0 for seconds in estimate.values())
    assert estimate["seconds"] == pytest.approx(sum(estimate.values()) - estimate["seconds"])


def test_long_work_is_told(planned: tuple[Plan, list[Event], Path]) -> None:
    """Tokenizing and timing are followed on the way."""
    tasks = {event.task for event in planned[1] if isinstance(event, Progress)}
    assert {f"tokenize {part}" for part in ("train", "validation", "test")} <= tasks
    assert {"time training", "time scoring"} <= tasks


def test_nothing_is_written(planned: tuple[Plan, list[Event], Path], tmp_path: Path) -> None:
    """Neither the output folder nor the working folder has anything new in it, and no run was tracked."""
    assert list(planned[2].iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_more_evaluations_and_epochs_take_longer(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """The estimate counts epochs, evaluations and saved models; with set numbers instead of a clock it is exact."""
    pace = module.Pace(0.5, 0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "time_training", lambda *parts: (pace, 7.0, None))
        patch.setattr(module, "time_scoring", lambda *parts: pace)
        few, many = (
            make_plan(config_of(tiny_settings, tmp_path, training={"num_epochs": epochs})).facts["estimate"]
            for epochs in (1, 3)
        )
        often = make_plan(config_of(tiny_settings, tmp_path, logging={"eval_interval": 7})).facts["estimate"]
    assert (few["train"], many["train"], often["train"]) == (7.0, 21.0, 28.0)
    # One batch of validation for each evaluation, and at the end one of validation and three of test.
    assert (few["score"], many["score"], often["score"]) == (2.5, 3.5, 6.0)
    assert few["save_and_track"] < many["save_and_track"] < often["save_and_track"]


def test_every_recipe_is_planned(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """With all of them set the steps are timed, nothing stands in the way, and the averaged weights are scored too."""
    pace, recipes = module.Pace(0.5, 0.0), {"layer_decay": 0.9, "label_smoothing": 0.1, "lora_rank": 2}
    training = {**recipes, "freeze_layers": 1, "average_last": 2}
    found = make_plan(config_of(tiny_settings, tmp_path, training=training))
    assert (found.problems, list(found.facts)) == ((), FACTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "time_training", lambda *parts: (pace, 7.0, None))
        patch.setattr(module, "time_scoring", lambda *parts: pace)
        config = config_of(tiny_settings, tmp_path, training={"num_epochs": 3, "average_last": 2})
        # Four evaluations of one batch, and at the end one of validation and three of test.
        assert make_plan(config).facts["estimate"]["score"] == 4.0


BAD: Mapping[str, tuple[dict[str, dict[str, Any]], list[str]]] = {
    "model and data": (
        {"model": {"name": "./nowhere"}, "data": {"dataset": "./nowhere.csv"}},
        ["model.name", "data.dataset"],
    ),
    "machine and data": (
        {"training": {"device": "cuda:7"}, "data": {"test_split": "tset"}},
        ["training.device", "data.test_split"],
    ),
    "data alone": ({"data": {"test_split": "tset"}}, ["data.test_split"]),
    "metric of another task": ({"training": {"best_metric": "rmse"}}, ["training.best_metric"]),
    "number of classes": ({"model": {"num_labels": 3}}, ["model.num_labels"]),
    "blocks": ({"training": {"freeze_layers": 9}}, ["training.freeze_layers"]),
    "nothing to adapt": ({"training": {"freeze_layers": 2, "lora_rank": 4}}, ["training.lora_rank"]),
    "length": ({"model": {"max_length": 4000}, "data": {"dataset": "x.csv"}}, ["model.max_length", "data.dataset"]),
}


@pytest.mark.parametrize("case", BAD)
def test_problems_are_all_listed(case: str, tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """Those of machine, model and data stand side by side, and the exit code is the one that training ends with."""
    changes, places = BAD[case]
    config = config_of(tiny_settings, tmp_path, **changes)
    found = make_plan(config)
    assert [problem.where for problem in found.problems] == places
    assert all(problem.what and problem.fix for problem in found.problems)
    with pytest.raises(ForgeError) as caught:
        train(config)
    assert found.error is not None
    assert found.error.exit_code == caught.value.exit_code
    assert list(caught.value.problems) == list(found.problems[: len(caught.value.problems)])
    assert "estimate" not in found.facts
    assert list(tmp_path.iterdir()) == []


def test_what_could_be_looked_at_is_told_beside_the_problem(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """A model that is not there does not keep the data from being looked at."""
    facts = make_plan(config_of(tiny_settings, tmp_path, model={"name": "./nowhere"})).facts
    assert facts["data"]["rows"]["train"] == 216
    assert "model" not in facts


def test_place_that_is_taken_is_a_problem(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """Something else where the model is to be written is seen, as training would see it, and is left alone."""
    (tmp_path / "best_model").mkdir()
    (tmp_path / "best_model" / "notes.txt").write_text("mine")
    found = make_plan(config_of(tiny_settings, tmp_path))
    assert found.error is not None
    assert found.error.exit_code == 5
    assert found.facts["data"]["rows"]["train"] == 216
    assert (tmp_path / "best_model" / "notes.txt").read_text() == "mine"


def test_disk_that_is_too_small_is_a_problem(
    tiny_settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little room for the models is told before the steps are timed."""
    from forgeml.training import outputs

    usage = outputs.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(outputs.shutil, "disk_usage", lambda place: usage._replace(free=1000))
    found = make_plan(config_of(tiny_settings, tmp_path))
    assert found.error is not None
    assert found.error.exit_code == 5
    assert "MB are needed, of which" in found.problems[0].what


def test_memory_that_runs_out_is_a_problem(
    tiny_settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that does not fit is told with settings that need less."""

    def refuse(*parts: object) -> None:
        raise MemoryError

    monkeypatch.setattr(module, "time_training", refuse)
    found = make_plan(config_of(tiny_settings, tmp_path))
    assert found.error is not None
    assert found.error.exit_code == 5
    assert "16 texts of up to 64 tokens" in found.problems[0].what
    assert "training.batch_size: 8" in found.problems[0].fix


def test_what_is_odd_in_the_data_is_counted(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """Texts that stand twice, with two labels, in two parts, or empty, are facts of the plan."""
    words = random.Random(0).sample(range(10_000), 200)
    rows: list[list[object]] = [[f"text number {word}", ("a", "b")[word % 2]] for word in words]
    rows += [rows[0], [rows[1][0], "ab".replace(str(rows[1][1]), "")], ["", "a"], [" ", "b"]]
    write_rows(tmp_path / "train.csv", ["text", "label"], rows)
    write_rows(
        tmp_path / "test.csv", ["text", "label"], [[f"Text  NUMBER {words[5]}", "a"], ["new", "b"], ["x y", "a"]]
    )
    out = tmp_path / "out"
    out.mkdir()
    data = {"dataset": {"train": "train.csv", "test": "test.csv"}}
    found = make_plan(config_of(tiny_settings, out, data=data))
    assert found.problems == ()
    facts = found.facts["data"]
    assert facts["two_labels"]["count"] == 1
    assert facts["two_labels"]["samples"] == [rows[1][0]]
    assert facts["empty"]["train"] + facts["empty"]["validation"] == 2
    leaks = {leak["split"]: leak for leak in facts["duplicates"]["in_train_too"]}
    assert leaks["test"]["count"] <= 1
    assert len(facts["notes"]) >= 2


def test_numbers_pairs_and_several_labels_have_plans(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """Regression has no balance; several labels are counted each; pairs and windows are counted in tokens."""
    chance = random.Random(1)
    numbers = [[f"good film {i}", f"bad film {i}", f"{chance.random() * 5:.2f}"] for i in range(60)]
    write_rows(tmp_path / "pairs.csv", ["sentence1", "sentence2", "score"], numbers)
    several = [[f"good film {i} " * 20, ";".join(chance.sample(["x", "y", "z"], 2))] for i in range(60)]
    write_rows(tmp_path / "several.csv", ["text", "labels"], several)
    out = tmp_path / "out"
    out.mkdir()
    pairs = make_plan(config_of(tiny_settings, out, data={"dataset": "pairs.csv"}))
    assert pairs.problems == ()
    assert (pairs.facts["data"]["task"], pairs.facts["data"]["balance"]["train"]) == ("regression", {})
    assert pairs.facts["data"]["columns"]["text_pair_column"] == "sentence2"
    changes = {"data": {"dataset": "several.csv"}, "model": {"max_length": 16, "long_texts": "windows"}}
    found = make_plan(config_of(tiny_settings, out, **changes))
    assert found.problems == ()
    assert found.facts["data"]["task"] == "multi_label"
    assert sum(found.facts["data"]["balance"]["train"].values()) == 2 * found.facts["data"]["rows"]["train"]
    assert found.facts["lengths"]["longest"] > 16
    assert sum(bar["texts"] for bar in found.facts["lengths"]["histogram"]) == found.facts["data"]["rows"]["train"]
    assert found.facts["lengths"]["cut"] == 0
