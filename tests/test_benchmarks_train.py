"""The comparison of trainings, from texts and a model to the report."""

from __future__ import annotations

import csv
import gzip
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
Part = Callable[[str], Any]


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Part:
    """Imports a module of `benchmarks/training`, as the script does."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return lambda name: importlib.import_module(f"training.{name}")


@pytest.fixture
def data(reviews: Path, tmp_path: Path) -> Path:
    """A folder as --data takes it, with the made-up reviews as short texts."""
    folder = tmp_path / "data" / "tweet_eval_sentiment"
    folder.mkdir(parents=True)
    (folder / "train.csv").write_bytes((reviews / "train.csv").read_bytes())
    (folder / "test.csv.gz").write_bytes(gzip.compress((reviews / "test.csv").read_bytes()))
    return tmp_path / "data"


@pytest.fixture
def job(part: Part, tiny_model: Path, reviews: Path, tmp_path: Path) -> Callable[..., Any]:
    """A training of the tiny model; what is given wins."""

    def made(**given: Any) -> Any:
        files = {"train": str(reviews / "train.csv"), "validation": str(reviews / "test.csv")}
        usual = {"folder": str(tmp_path), "model": str(tiny_model), "max_length": 64, "batch_size": 16, "seed": 1}
        machine = {"precision": "fp32", "device": "cpu", "threads": 1}
        return part("job").Job(**{**files, **usual, **machine, "scored": True, **given})

    return made


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--data", "nowhere"), "nowhere/tweet_eval_sentiment, nowhere/imdb; "),
        (("--model", "nowhere"), "make starter"),
        (("--texts", "long"), "the starter has no long texts"),
        (("--contenders", "nobody"), "invalid choice: 'nobody'"),
        (("--device", "abacus"), "invalid choice: 'abacus'"),
    ],
)
def test_wrong_arguments_are_refused(words: tuple[str, ...], told: str) -> None:
    """What is not there or not known is said before anything is measured."""
    done = _script(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_others_get_nothing_that_forgeml_sets() -> None:
    """What starts the programs of all contenders keeps the environment before ForgeML is imported."""
    parts = ("processes", "turns", "materials", "report")
    code = f"import sys; import {', '.join(f'training.{name}' for name in parts)}; print('forgeml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_report_is_worked_out_within_rounds(part: Part) -> None:
    """Medians with the lowest and highest round, and ratios of the same round, though one is not finished."""
    speed = {"script": (10, 20, 30), "best": (50, 100), "forgeml": (100, 100, 120)}
    results = [
        _record(name, "speed", turn, seconds=600 / rate)
        for name, rates in speed.items()
        for turn, rate in enumerate(rates, 1)
    ]
    page = part("report").write_page(results, "the command", {"fasttext": "there is no package fasttext"})
    assert "| script | fp32 | 20.0 (10.0 to 30.0) | 5.00 | 6.0 | 800 | 0.693 |" in page
    assert "| best | fp32 | 75.0 (50.0 to 100.0) | 1.50 | 6.0 | 800 | 0.693 |" in page
    assert "| Short texts, the model given | 5.00 | 1.50 | 1.00 |" in page
    assert "Speed: 600 examples, 3 rounds." in page
    assert "Other processes took 0.01 cores on average, and in no training more than 0.1 cores." in page
    assert "`fasttext` was left out: there is no package fasttext." in page
    assert "Command: `the command`." in page
    assert "\n\n\n" not in page


def test_report_marks_what_others_disturbed(part: Part) -> None:
    """A figure with a training in it from which others took more than a tenth of a core has a mark and is named."""
    results = [_record("dynamic", "speed", turn, cores=cores) for turn, cores in ((1, 0.02), (2, 0.5))]
    page = part("report").write_page([*results, _record("best", "speed", 1)], "", {})
    assert "| dynamic | fp32 | 60.0 (60.0 to 60.0)* |" in page
    assert "| best | fp32 | 60.0 (60.0 to 60.0) |" in page
    assert "more than 0.1 cores: short texts, model, dynamic, speed 2 (0.50)." in page


def test_report_shows_accuracy_of_all_seeds(part: Part) -> None:
    """Mean and standard deviation, and the time of the whole run, also of what is no neural network."""
    results = [_record("forgeml", "accuracy", seed, accuracy=score) for seed, score in ((1, 0.6), (2, 0.7), (3, 0.8))]
    results.append({**_record("tfidf", "accuracy", 1, accuracy=0.65), "precision": "fp64", "first_loss": None})
    page = part("report").write_page(results, "", {})
    assert "| forgeml | fp32 | 0.7000 ± 0.1000 | 16.0 | 800 |" in page
    assert "| tfidf | fp64 | 0.6500 | 16.0 | 800 |" in page
    assert "How many times as fast" not in page


def test_report_of_a_gpu_shows_its_name_and_its_memory(part: Part) -> None:
    """The memory of the process says little there."""
    one = {**_record("best", "speed", 1), "gpu": {"name": "A graphics card", "peak": 5_000_000_000}}
    page = part("report").write_page([one], "", {})
    assert "device: A graphics card." in page
    assert "| best | fp32 | 60.0 (60.0 to 60.0) |  | 6.0 | 5,000 | 0.693 |" in page


def test_every_contender_has_its_turn_in_every_round(part: Part) -> None:
    """In another order each time; what has no speed to compare, or no weights to score, has no turn there."""
    plans, turns = part("plans"), part("turns")

    def names(kind: str, size: str, device: str, numbers: tuple[int, ...]) -> list[str]:
        table = turns.Table("short", size, Path(), [], [], {})
        return [turn.contender for turn in table.turns({kind: numbers}, list(plans.CONTENDERS), device)]

    neural = ["script", "dynamic", "best", "forgeml-fp32", "forgeml"]
    rounds = names("speed", "model", "cpu", (1, 2))
    assert rounds[:5] == neural
    assert sorted(rounds[5:]) == sorted(neural)
    assert rounds[5:] != neural
    assert names("accuracy", "model", "cpu", (7,)) == [*neural, "tfidf", "fasttext"]
    assert names("accuracy", "distilbert", "cpu", (7,)) == []
    assert names("speed", "distilbert", "cuda", (1,)) == ["script", "dynamic", "best", "forgeml"]
    assert {plans.precision_of(name, "cuda") for name in neural} == {"bf16"}


def test_all_train_on_the_same_rows(part: Part, data: Path, tmp_path: Path) -> None:
    """Drawn once from a seed; the script, whose speed no text changes, is timed on the first half of them."""
    materials, turns = part("materials"), part("turns")
    train = materials.drawn(data / "tweet_eval_sentiment", ["train"], 60)
    validation = materials.drawn(data / "tweet_eval_sentiment", ["validation", "test"], 70)
    assert (len(train), len(validation)) == (60, 70)
    assert train == materials.drawn(data / "tweet_eval_sentiment", ["train"], 240)[:60]
    table = turns.Table("short", "model", tmp_path, train, validation, {"speed": 40, "accuracy": 60})

    def rows(kind: str, name: str) -> tuple[list[tuple[str, ...]], int]:
        made = table.job(turns.Turn(kind, 3, name), "cpu", 1, tmp_path)
        with open(made.train, encoding="utf-8", newline="") as lines:
            found = [tuple(row) for row in csv.reader(lines)]
        assert found[0] == ("text", "label")
        return found[1:], made.seed

    assert rows("speed", "best") == rows("speed", "forgeml") == (train[:40], 1)
    assert rows("speed", "script") == (train[:20], 1)
    assert rows("accuracy", "script") == rows("accuracy", "forgeml") == (train, 3)


def test_rows_that_cannot_be_read_are_told(part: Part, tmp_path: Path) -> None:
    """A file that is not there, or has other columns."""
    with pytest.raises(ValueError, match=r"not there: .*train\.csv or "):
        part("materials").drawn(tmp_path, ["train"], 5)
    (tmp_path / "train.csv").write_text("sentence,class\nGood.,1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no columns text and label"):
        part("materials").drawn(tmp_path, ["train"], 5)


def test_what_was_measured_is_found_again(part: Part, tmp_path: Path) -> None:
    """By all its facts, also if the last line was cut short; other settings are another measurement."""
    turns, file = part("turns"), tmp_path / "kept.jsonl"
    facts = {"settings": {"threads": 1}}
    turns.Kept(file).add({**facts, "kind": "speed", "turn": 1, "contender": "best", "seconds": 2.0})
    file.write_text(file.read_text(encoding="utf-8") + '{"settings": {"thr', encoding="utf-8")
    kept = turns.Kept(file)
    found = kept.find(facts, turns.Turn("speed", 1, "best"))
    assert found is not None
    assert found["seconds"] == 2.0
    assert kept.find(facts, turns.Turn("speed", 2, "best")) is None
    assert kept.find({"settings": {"threads": 2}}, turns.Turn("speed", 1, "best")) is None


@pytest.mark.parametrize("size", ["distilbert", "bert"])
def test_models_of_random_weights_have_the_dimensions_asked_for(
    part: Part, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    """They read texts with the tokenizer given, and their weights are the same each time."""
    materials = part("materials")
    kind, dimensions = materials.DIMENSIONS[size]
    small = {name: 2 if "layers" in name or "heads" in name else 8 for name in dimensions}
    monkeypatch.setitem(materials.DIMENSIONS, size, (kind, small))
    for name in ("one", "other"):
        materials.write_model(size, str(tiny_model), str(tmp_path / name))
    found = materials.describe(tmp_path / "one")
    assert found == materials.describe(tmp_path / "other")
    assert (found["kind"], found["layers"], found["width"]) == (kind, 2, 8)
    assert (tmp_path / "one" / "tokenizer.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("contender", "scored"), [("script", True), ("dynamic", False), ("best", True), ("best", False)]
)
def test_trainer_measures_itself(part: Part, job: Callable[..., Any], contender: str, scored: bool) -> None:
    """All rows are trained on between start and stop, the first loss is that of guessing, and a score is told."""
    asked = job(contender=contender, precision="bf16" if contender == "best" else "fp32", scored=scored)
    part("peer_trainer").main(asked)
    found = json.loads(Path(asked.folder, "result.json").read_text(encoding="utf-8"))
    assert found["examples"] == 240
    assert 0 < found["seconds"] < found["total_s"]
    assert found["total_s"] == pytest.approx(found["start_s"] + found["seconds"])
    assert found["first_loss"] == pytest.approx(0.69, abs=0.1)
    assert found["precision"] == asked.precision
    assert 5 < found["mean_tokens"] < 64
    assert found["peak"] > 1e8
    assert ("accuracy" in found) == scored


@pytest.mark.slow
def test_speed_groups_few_texts_as_many(part: Part) -> None:
    """All texts of up to 50 batches are sorted together, as the library does in large sets."""
    lengths = list(range(1, 41)) * 2
    sampler = part("peer_trainer").SamplerOfMany(4, lengths=lengths)
    sampled = list(sampler)
    assert sorted(sampled) == list(range(80))
    assert [lengths[place] for place in sampled[1:]] == sorted(lengths, reverse=True)[1:]


@pytest.mark.slow
def test_forgeml_measures_itself(part: Part, job: Callable[..., Any]) -> None:
    """As the Trainer does: same examples, same first loss, and the score of the saved model."""
    asked = job(contender="forgeml-fp32")
    part("peer_forgeml").main(asked)
    found = json.loads(Path(asked.folder, "result.json").read_text(encoding="utf-8"))
    assert found["examples"] == 240
    assert 0 < found["seconds"] < found["total_s"]
    assert found["first_loss"] == pytest.approx(0.69, abs=0.1)
    assert found["precision"] == "fp32"
    assert 0 <= found["accuracy"] <= 1


@pytest.mark.parametrize(("program", "package"), [("peer_tfidf", "sklearn"), ("peer_fasttext", "fasttext")])
def test_cheap_alternatives_learn(part: Part, job: Callable[..., Any], program: str, package: str) -> None:
    """The made-up reviews, whose words give their labels away."""
    pytest.importorskip(package)
    asked = job(contender=package)
    part(program).main(asked)
    found = json.loads(Path(asked.folder, "result.json").read_text(encoding="utf-8"))
    assert found["examples"] == 240
    assert found["accuracy"] > 0.8


@pytest.mark.slow
def test_run_that_was_cut_goes_on(data: Path, tiny_model: Path, tmp_path: Path) -> None:
    """The script measures each contender in a process of its own, and started again only what is not there yet."""
    report = tmp_path / "report.md"
    kept = report.with_suffix(".jsonl")
    small = ("--rounds", "1", "--threads", "1", "--speed-rows", "32", "--texts", "short", "--sizes", "model")
    folders = ("--model", str(tiny_model), "--data", str(data), "--report", str(report))
    asked = (*folders, *small, "--measures", "speed", "--contenders", "forgeml", "tfidf")
    done = _script(*asked)
    assert done.returncode == 0, done.stderr
    (line,) = kept.read_text(encoding="utf-8").splitlines()
    found = json.loads(line)
    assert (found["contender"], found["kind"], found["turn"], found["examples"]) == ("forgeml", "speed", 1, 32)
    assert found["start_s"] > 0.1
    page = report.read_text(encoding="utf-8")
    assert "| forgeml | " in page
    assert "--model MODEL --data DATA --report REPORT --rounds 1" in page
    assert str(tmp_path) not in page
    again = _script(*asked)
    assert again.returncode == 0, again.stderr
    assert "speed 1 of" not in again.stderr
    assert kept.read_text(encoding="utf-8").splitlines() == [line]
    assert report.read_text(encoding="utf-8") == page


def test_what_fails_is_told(data: Path, tiny_model: Path, tmp_path: Path) -> None:
    """By its name and its reason, and nothing is kept or shown of it."""
    train = data / "tweet_eval_sentiment" / "train.csv"
    train.write_text("text,label\nGood.,pos\nFine.,pos\n", encoding="utf-8")
    report = tmp_path / "report.md"
    asked = ("--model", str(tiny_model), "--data", str(data), "--texts", "short", "--sizes", "model")
    done = _script(*asked, "--seeds", "1", "--contenders", "tfidf", "--report", str(report))
    assert done.returncode == 1
    assert "not measured: tfidf on short texts (" in done.stderr
    assert list(tmp_path.glob("report.*")) == []
    train.unlink()
    done = _script(*asked, "--contenders", "tfidf", "--report", str(report))
    assert done.returncode == 1
    assert done.stderr.startswith("there is nothing to measure with: not there: ")


def _script(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(BENCHMARKS / "train.py"), *words], capture_output=True, text=True)


def _record(
    contender: str, kind: str, turn: int, seconds: float = 10.0, cores: float = 0.01, accuracy: float | None = None
) -> dict[str, Any]:
    """A line as it is kept."""
    machine = {"processor": "A processor", "instructions": ["avx2"], "cores": 2}
    facts = {"machine": machine, "versions": {"python": "3.11"}, "settings": {"threads": 2, "device": "cpu"}}
    table = {"texts": "short", "size": "model", "model": {"kind": "bert", "layers": 6, "width": 384}}
    asked = {"kind": kind, "turn": turn, "contender": contender, "date": "2026-11-23", "precision": "fp32"}
    times = {"examples": 600, "seconds": seconds, "start_s": 6.0, "total_s": 6.0 + seconds}
    others = {"peak": 800_000_000, "gpu": None, "other_cores": {"timed": cores, "whole": cores}}
    return {**facts, **table, **asked, **times, **others, "first_loss": 0.693, "accuracy": accuracy}
