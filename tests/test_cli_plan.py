"""`forgeml plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from command import forgeml
from refusals import answer_of, assert_says, refusal_of, snapshot
from tiny import write_pairs, write_scores, write_topics

FILE = "config.yaml"


@pytest.fixture
def config(tiny_settings: dict[str, Any]) -> str:
    """A file with the tiny settings, which is fine."""
    write(tiny_settings)
    return FILE


def write(settings: dict[str, Any]) -> None:
    """Write a configuration."""
    with Path(FILE).open("w") as file:
        YAML(typ="safe").dump(settings, file)


def plan_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and plan of a command line."""
    answer = answer_of(capsys, "plan", *arguments, "--json")
    told: dict[str, Any] = json.loads(answer.out)
    return answer.code, told


@pytest.mark.parametrize("rank", ["0", "1"])
def test_plan_is_for_one_process(
    rank: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started by a launcher, it would time each process beside the others; one of them says so."""
    for name, value in {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    answer = answer_of(capsys, "plan")
    assert answer.code == 2
    assert ("was started as 2 processes" in answer.err) == (rank == "0")


def test_screen_ends_with_ready(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that would begin is told on one screen on stdout, with what to do next as its last line."""
    answer = answer_of(capsys, "plan", config)
    assert answer.code == 0
    lines = [line.strip() for line in answer.out.splitlines()]
    assert lines[-1] == "ready"
    topics = {line.split()[0] for line in answer.out.splitlines() if not line.startswith(" ")}
    assert {"machine", "model", "data", "rows", "task", "classes", "lengths", "steps", "disk", "time"} <= topics
    assert "one of 2 classes: neg, pos; from the columns text to label" in answer.out


def test_json_tells_everything(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` is one document with the same facts, that it is ready, and no problems."""
    code, told = plan_of(capsys, config)
    assert (code, told["ready"], told["problems"], told["warnings"]) == (0, True, [], [])
    assert told["data"]["rows"] == {"train": 216, "validation": 24, "test": 80}
    assert (told["data"]["task"], told["data"]["labels"]) == ("single_label", ["neg", "pos"])
    assert told["data"]["balance"]["train"] == {"neg": 108, "pos": 108}
    assert told["steps"] == {"in_epoch": 14, "in_all": 56}
    assert sum(bar["texts"] for bar in told["lengths"]["histogram"]) == 216
    parts = told["estimate"]
    assert parts.pop("seconds") == pytest.approx(sum(parts.values()))
    assert all(seconds >= 0 for seconds in parts.values())


def test_nothing_is_written(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan saves no model, tracks nothing, and leaves the folder as it was."""
    before = snapshot(tmp_path)
    assert plan_of(capsys, config)[0] == 0
    assert snapshot(tmp_path) == before


def test_settings_change_the_plan(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is given on the command line is what is planned, and odd values are told."""
    code, told = plan_of(capsys, config, "--training.num_epochs", "200", "--training.batch_size=32")
    assert code == 0
    assert told["steps"] == {"in_epoch": 7, "in_all": 1400}
    assert told["warnings"][0].startswith("training.num_epochs is 200")
    answer = answer_of(capsys, "plan", config, "--training.num_epochs", "200")
    assert "training.num_epochs is 200" in answer.out


def test_plan_is_that_of_the_run(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The run has the steps and the rows that were planned."""
    told = plan_of(capsys, config, "--training.num_epochs", "1")[1]
    answer = answer_of(capsys, "train", config, "--training.num_epochs", "1", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["steps"] == told["steps"]["in_all"]
    manifest = json.loads(Path("best_model", "forgeml.json").read_text())
    assert manifest["data"]["rows"] == told["data"]["rows"]
    assert (manifest["task"], manifest["labels"]) == (told["data"]["task"], told["data"]["labels"])


def test_wrong_configuration_is_refused_before_anything_else(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 with line and fix, as from `forgeml train`, and no plan."""
    text = Path(config).read_text()
    Path(config).write_text(text.replace("batch_size", "batchsize"))
    answer = refusal_of(capsys, tmp_path, "plan", config)
    assert answer.code == 2
    assert answer.err == refusal_of(capsys, tmp_path, "train", config).err
    assert_says(answer.err, ["training.batchsize: unknown setting", "did you mean training.batch_size?"])


def test_bad_data_end_the_list(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3; what could be looked at is told, and what is to be fixed stands at the end."""
    Path("bad.csv").write_text("text,label\na,b,c\nd\n")
    answer = answer_of(capsys, "plan", config, "--data.dataset", "bad.csv")
    assert answer.code == 3
    assert answer.out.index("machine") < answer.out.index("model") < answer.out.index("to fix, 2:")
    last = [line.strip() for line in answer.out.splitlines()][-4:]
    assert last[0].startswith("bad.csv:2 (row 1): 3 fields where the header has 2")
    assert last[2].startswith("bad.csv:3 (row 2): 1 fields")
    assert last[1].startswith("fix: ")
    assert last[3].startswith("fix: ")
    assert "ready" not in answer.out


def test_all_that_is_wrong_is_listed(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where model, data and device are wrong, each is told; the code is that of what `train` would say first."""
    wrong = ["--model.name", "./no-model", "--data.dataset", "./no.csv"]
    code, told = plan_of(capsys, config, *wrong)
    assert (code, told["ready"]) == (4, False)
    assert [problem["where"] for problem in told["problems"]] == ["--model.name", "--data.dataset"]
    assert all(problem["fix"] for problem in told["problems"])
    assert "machine" in told
    assert "steps" not in told
    assert answer_of(capsys, "train", config, *wrong).code == 4
    code, told = plan_of(capsys, config, *wrong, "--training.device", "cuda:99")
    assert (code, len(told["problems"])) == (5, 3)
    assert answer_of(capsys, "plan", config, *wrong).out.count("\n  fix: ") == 2


def test_metric_of_another_task_is_refused(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What only the data can tell about the settings is told too, with the code of the settings."""
    code, told = plan_of(capsys, config, "--training.best_metric", "pearson")
    assert code == 2
    assert told["problems"][0]["where"] == "--training.best_metric"
    assert "no metric of a single_label task" in told["problems"][0]["what"]


def test_place_that_cannot_be_written_is_told(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that could not save its model is not ready."""
    Path("best_model").mkdir()
    Path("best_model", "notes.txt").write_text("mine")
    code, told = plan_of(capsys, config)
    assert (code, told["ready"]) == (5, False)
    assert told["problems"][0]["where"] == "output_dir"


@pytest.mark.parametrize("task", ["multi_label", "regression", "pairs"])
def test_every_task_has_its_plan(task: str, tiny_settings: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The screen says what was understood, with the classes where there are some."""
    data = {"multi_label": lambda: write_topics(Path("data"), "bar"), "regression": lambda: write_scores(Path("data"))}
    folder = data.get(task, lambda: write_pairs(Path("data"), scored=False))()
    write({**tiny_settings, "data": {"dataset": f"./{folder}"}})
    answer = answer_of(capsys, "plan", FILE)
    assert answer.code == 0, answer.out
    said = {
        "multi_label": ["any of 3 classes: bad, good, wry; joined by |", "\nclasses "],
        "regression": ["a number, in train from -3.2 to 3.2; from the columns text to score"],
        "pairs": ["one of 2 classes: other, same; from the columns sentence1, sentence2 to label"],
    }
    assert_says(answer.out, said[task])
    assert task != "regression" or "\nclasses " not in answer.out


def test_default_file_and_missing_one() -> None:
    """Without a name it is config.yaml; a file that is not there is exit code 2, told before the slow imports."""
    answer = forgeml("plan")
    assert answer.returncode == 2
    assert answer.stderr.startswith("config.yaml: does not exist")
    assert answer.stdout == ""
