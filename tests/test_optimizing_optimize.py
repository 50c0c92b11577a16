"""The best engine for a folder, found and recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from transformers import pipeline

from forgeml.errors import ModelError
from forgeml.events import Event, Progress
from forgeml.inference.classifier import Classifier
from forgeml.inference.engines import ENGINES, PLAIN
from forgeml.optimizing import building, measuring
from forgeml.optimizing import optimize as module
from forgeml.optimizing.optimize import Guard, Optimized, optimize
from forgeml.optimizing.samples import from_training

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")


def run(
    folder: Path,
    guard: Guard | None = None,
    aim: str = "throughput",
    tell: Callable[[Event], None] = lambda event: None,
) -> Optimized:
    """Optimize a folder with the texts of its training."""
    reference = Classifier.from_pretrained(folder, "cpu", PLAIN)
    return optimize(reference, folder, from_training(reference, 60, tell), guard or Guard(), aim, tell)


def test_all_engines_are_measured_and_the_best_is_used(saved: Path) -> None:
    """Every engine has its figures; the folder is opened with the winner, and plain transformers opens it as before."""
    (saved / "notes.txt").write_text("mine")
    weights = (saved / "model.safetensors").read_bytes()
    told: list[Event] = []
    found = run(saved, tell=told.append)
    assert {trial.name for trial in found.trials} == set(ENGINES)
    assert all(trial.speed.texts_per_second > 0 and trial.speed.ms_one_text > 0 for trial in found.trials)
    exact = next(trial for trial in found.trials if trial.name == PLAIN)
    assert (exact.quality.agreement, exact.quality.drop, exact.inside) == (1, 0, True)
    fastest = max((t for t in found.trials if t.inside), key=lambda trial: trial.speed.texts_per_second)
    assert found.best == fastest.name
    assert Classifier.from_pretrained(saved, "cpu").engine == found.best
    assert (saved / "notes.txt").read_text() == "mine"
    assert (saved / "model.safetensors").read_bytes() == weights
    assert pipeline("text-classification", model=str(saved))("good")[0]["label"] in {"neg", "pos"}
    assert {event.task for event in told if isinstance(event, Progress)} >= {"build engines", "time engines"}
    assert os.listdir(saved.parent) == ["saved"]


def test_record_says_what_was_measured_where(saved: Path) -> None:
    """Machine, data, metric, guard and all figures; the winner's files and those of its kind in fp32 with hashes."""
    found = run(saved, aim="latency")
    manifest = json.loads((saved / "forgeml.json").read_text(encoding="utf-8"))
    record = manifest["engine"]
    assert record["name"] == found.best
    assert record["measured_on"] == {"data": manifest["data"]["name"], "split": "test", "texts": 60}
    assert record["metric"] == found.metric == "accuracy"
    assert [trial["name"] for trial in record["trials"]] == [trial.name for trial in found.trials]
    on_disk = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
    assert {name for name in manifest["files"] if "/" in name} == set(found.written) == {n for n in on_disk if "/" in n}
    assert all(ENGINES[name].precision == "fp32" or name == found.best for name in record["files"])


def choose_only(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let this engine win, whatever the clock says."""
    monkeypatch.setattr(module, "_best", lambda trials, aim: name)


@pytest.mark.parametrize("name", [name for name in ENGINES if name != PLAIN])
def test_any_engine_may_win(saved: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With its files in the folder it answers, and an exact one of its kind is there for other machines."""
    choose_only(monkeypatch, name)
    run(saved)
    classifier = Classifier.from_pretrained(saved, "cpu")
    assert (classifier.engine, classifier.note) == (name, "")
    assert [answer.label for answer in classifier.predict(["good", "bad"])] == ["pos", "neg"]
    family = name.partition("-")[0]
    assert Classifier.from_pretrained(saved, "cpu", f"{family}-fp32").predict(["good"])[0].label == "pos"


def test_second_run_replaces_the_first(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of an engine that is not the best any more are gone, and with torch as the best there are none."""
    choose_only(monkeypatch, "openvino-int8")
    run(saved)
    assert sorted(os.listdir(saved / "openvino")) == ["model.bin", "model.xml", "model_int8.bin", "model_int8.xml"]
    choose_only(monkeypatch, "onnx-fp32")
    run(saved)
    assert (sorted(os.listdir(saved / "onnx")), (saved / "openvino").exists()) == (["model.onnx"], False)
    choose_only(monkeypatch, PLAIN)
    assert run(saved).written == []
    assert not (saved / "onnx").exists()
    assert Classifier.from_pretrained(saved, "cpu").engine == PLAIN


def test_guard_keeps_engines_out(saved: Path) -> None:
    """Where everything must stay the same to the last text, and better, only torch in fp32 is left."""
    found = run(saved, Guard(max_drop=-1, min_agreement=1.1))
    assert [trial.name for trial in found.trials if trial.inside] == [PLAIN]
    assert found.best == PLAIN


def test_engine_that_is_not_installed_is_named(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs it; the others are measured all the same."""
    monkeypatch.setattr(building, "lacks", lambda name: "pip install x" if name.startswith("openvino") else "")
    found = run(saved)
    reasons = {trial.name: trial.reason for trial in found.trials if trial.reason}
    assert reasons == dict.fromkeys([name for name in ENGINES if name.startswith("openvino")], "needs pip install x")
    assert {trial.name for trial in found.trials if trial.speed} == ENGINES.keys() - reasons.keys()


def test_architecture_that_cannot_be_written_is_told(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch is left, with the reason of the others."""

    def refuse(*arguments: object) -> None:
        raise ModelError.at("model type odd", "cannot be written as ONNX: no such operator", "use torch")

    monkeypatch.setattr("forgeml.optimizing.export.export_onnx", refuse)
    found = run(saved)
    assert {trial.name for trial in found.trials if trial.speed} == {PLAIN, "torch-bf16"}
    assert all("no such operator" in t.reason for t in found.trials if not t.name.startswith("torch"))
    assert not (saved / "onnx").exists()


def test_failure_leaves_the_folder_as_it_was(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong on the way changes nothing."""

    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "_timed", fail)
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        run(saved)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert os.listdir(saved.parent) == ["saved"]


def test_files_of_the_user_stay(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the folders of engines, run after run; one that would be written over is refused."""
    choose_only(monkeypatch, "onnx-fp32")
    (saved / "onnx").mkdir()
    (saved / "onnx" / "served.onnx").write_text("mine")
    for _ in range(2):
        run(saved)
        assert sorted(os.listdir(saved / "onnx")) == ["model.onnx", "served.onnx"]
    assert (saved / "onnx" / "served.onnx").read_text() == "mine"
    (saved / "openvino").mkdir()
    (saved / "openvino" / "model.xml").write_text("mine")
    with pytest.raises(ModelError, match=r"openvino/model\.xml was not written by forgeml optimize"):
        run(saved)


def test_training_that_ends_meanwhile_is_not_thrown_away(
    saved: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that has changed while it was measured is left as it is then."""
    measure = module._measure

    def slowly(*arguments: object) -> object:
        manifest = json.loads((saved / "forgeml.json").read_text(encoding="utf-8"))
        (saved / "forgeml.json").write_text(json.dumps({**manifest, "metrics": {}}), encoding="utf-8")
        return measure(*arguments)

    monkeypatch.setattr(module, "_measure", slowly)
    with pytest.raises(ModelError, match="has changed while it was measured"):
        run(saved)
    assert json.loads((saved / "forgeml.json").read_text(encoding="utf-8"))["metrics"] == {}
    assert os.listdir(saved.parent) == ["saved"]


def test_other_weights_than_those_of_the_files_are_refused(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine must not answer with a model that the folder no longer has."""
    choose_only(monkeypatch, "onnx-fp32")
    run(saved)
    (saved / "model.safetensors").write_bytes(b"another")
    with pytest.raises(ModelError, match=r"model\.safetensors has changed"):
        Classifier.from_pretrained(saved, "cpu")
    (saved / "model.safetensors").unlink()
    assert Classifier.from_pretrained(saved, "cpu").predict(["good"])[0].label == "pos"


def test_engine_that_says_nothing_is_out(saved: Path) -> None:
    """Numbers that are none agree with nothing, and the metric that cannot be told of them passes no guard."""
    part = from_training(Classifier.from_pretrained(saved, "cpu"), 60, lambda event: None).measured
    classifier = Classifier.from_pretrained(saved, "cpu")
    exact = classifier.logits(part.texts)
    found = measuring.quality(classifier, part, "accuracy", exact, np.full_like(exact, np.nan))
    assert found.agreement == 0
    assert not Guard(max_drop=100, min_agreement=0.5).passes(found)
