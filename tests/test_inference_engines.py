"""Which engine a folder is opened with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import pipeline

from engines_made import TEXTS, change_record, with_all_engines
from forgeml.errors import ConfigError, MachineError, ModelError
from forgeml.inference import engines as module
from forgeml.inference.classifier import Classifier
from forgeml.inference.engines import ENGINES, PLAIN, choose, is_alike
from forgeml.machine import describe_machine
from forgeml.records import ListedTexts

EXACT = [name for name, kind in ENGINES.items() if kind.precision == "fp32"]
OTHERS = [name for name in ENGINES if name not in EXACT]
FILES = {"onnx-int8": ["a"], "onnx-fp32": ["b"]}
BEST = {"name": "onnx-int8", "device": "cpu", "files": FILES, "weights": {}, "tokenizer": {}, "max_length": 64}


def manifest_with(**changes: Any) -> dict[str, Any]:
    """A manifest whose record was made on this machine."""
    return {"engine": {**BEST, "machine": describe_machine(), **changes}, "files": {"a": "0", "b": "1"}}


def install(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Pretend that these packages of engines are installed and no others."""
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: name in packages or None)


def test_folder_that_was_not_optimized_is_run_by_torch() -> None:
    """Without a record there is nothing to choose."""
    assert choose({}, "auto", "auto") == module.Choice(PLAIN)


def test_recorded_engine_is_used_on_a_machine_like_the_recorded_one() -> None:
    """The number of cores may differ, as in containers; the processor and its instructions may not."""
    pytest.importorskip("onnxruntime")
    assert choose(manifest_with(), "auto", "cpu") == module.Choice("onnx-int8")
    here = describe_machine()
    assert choose(manifest_with(machine={**here, "cores": 77}), "auto", "auto").name == "onnx-int8"
    assert is_alike(here)
    assert not is_alike({**here, "instructions": ["none"]})


def test_other_machine_gets_fp32_and_is_told_why() -> None:
    """Eight bits were compared with fp32 on another processor."""
    pytest.importorskip("onnxruntime")
    found = choose(manifest_with(machine={"processor": "another", "instructions": []}), "auto", "auto")
    assert found.name == PLAIN
    assert "measured on another machine (another), so torch-fp32 is used; forgeml optimize" in found.note


def test_other_machine_without_torch_gets_the_exact_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small installation runs the fp32 file that lies beside that of the best engine."""
    install(monkeypatch, "onnxruntime")
    elsewhere = {"processor": "another", "instructions": []}
    assert choose(manifest_with(machine=elsewhere), "auto", "auto").name == "onnx-fp32"


def test_engine_that_is_not_installed_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is told; without anything that could run the folder exactly it is refused."""
    install(monkeypatch, "torch")
    found = choose(manifest_with(), "auto", "auto")
    assert (found.name, "pip install 'forgeml[onnx]'" in found.note) == (PLAIN, True)
    install(monkeypatch)
    with pytest.raises(MachineError, match="nothing that is installed") as caught:
        choose(manifest_with(), "auto", "auto")
    assert caught.value.problems[0].fix == "pip install 'forgeml[train]' or pip install 'forgeml[onnx]'"


def test_other_device_than_the_processor_is_for_torch() -> None:
    """Who asks for a GPU gets torch."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("torch")
    assert choose(manifest_with(), "auto", "cuda").name == PLAIN
    with pytest.raises(MachineError, match="runs on the processor, not on cuda"):
        choose(manifest_with(), "onnx-fp32", "cuda")


def test_engine_by_name_must_be_known_and_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip is told with the nearest name; a folder without its files and an absent package with what to do."""
    pytest.importorskip("onnxruntime")
    with pytest.raises(ConfigError, match="did you mean onnx-int8"):
        choose({}, "onx-int8", "auto")
    with pytest.raises(ModelError, match="no files for onnx-int8"):
        choose({}, "onnx-int8", "auto")
    install(monkeypatch, "torch")
    with pytest.raises(MachineError, match="onnx-int8 needs onnxruntime") as caught:
        choose(manifest_with(), "onnx-int8", "auto")
    assert caught.value.problems[0].fix == "pip install 'forgeml[onnx]'"


def test_record_that_is_damaged_is_refused() -> None:
    """A record without its parts, or with an engine that this version does not know, is told as such."""
    whole = manifest_with()["engine"]
    changes = [{"name": "quantum-int1"}, {"files": 3}, {"machine": {}}, {"files": {}}, {"files": {"onnx-int8": []}}]
    changes += [{"files": {"onnx-int8": ["../a"]}}, {"tokenizer": 3}, {"max_length": "long"}, {"weights": []}]
    for record in ({}, [], *({**whole, **change} for change in changes)):
        for wanted in ("auto", "onnx-int8"):
            with pytest.raises(ModelError, match="engine"):
                choose({**manifest_with(), "engine": record}, wanted, "auto")


@pytest.mark.parametrize("name", EXACT)
def test_exact_engines_give_the_scores_of_the_pipeline(engines: Path, name: str) -> None:
    """Every fp32 engine gives what plain transformers gives, to 1e-5, whatever the lengths."""
    classifier = Classifier.from_pretrained(engines, "cpu", name)
    plain = pipeline("text-classification", model=str(engines), top_k=None, truncation=True)
    for expected, answer in zip(plain(TEXTS), classifier.predict(TEXTS), strict=True):
        scores = {one["label"]: one["score"] for one in expected}
        assert answer.scores == pytest.approx(scores, abs=1e-5)
    assert classifier.engine == name


@pytest.mark.parametrize("name", OTHERS)
def test_short_numbers_give_nearly_the_same(engines: Path, name: str) -> None:
    """In bf16 and in eight bits the labels stay, and the scores nearly so."""
    exact, other = (Classifier.from_pretrained(engines, "cpu", one).predict(TEXTS) for one in (PLAIN, name))
    assert [answer.label for answer in other] == [answer.label for answer in exact]
    for expected, answer in zip(exact, other, strict=True):
        assert answer.scores == pytest.approx(expected.scores, abs=0.1)


@pytest.mark.parametrize("name", ENGINES)
def test_threads_may_share_any_engine(engines: Path, name: str) -> None:
    """Four threads get what one gets."""
    classifier = Classifier.from_pretrained(engines, "cpu", name)
    expected = classifier.logits(ListedTexts(TEXTS))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda turn: classifier.logits(ListedTexts(TEXTS)), range(16)))
    for answer in answers:
        np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in ENGINES if not name.startswith("torch")])
def test_engines_need_neither_torch_nor_arrow(engines: Path, name: str) -> None:
    """With the files of another engine a prediction imports none of the large libraries."""
    script = (
        "import sys, forgeml\n"
        "forgeml.Classifier.from_pretrained(sys.argv[1], 'cpu', sys.argv[2]).predict(['good'])\n"
        "heavy = {'torch', 'transformers', 'pyarrow', 'datasets', 'mlflow', 'sklearn', 'scipy', 'huggingface_hub'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", script, str(engines), name]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["torch-bf16", "onnx-int8", "openvino-int8"])
def test_any_engine_can_be_saved_elsewhere(engines: Path, tmp_path: Path, name: str) -> None:
    """A copy has the files of all engines and answers the same; weights stay in fp32."""
    classifier = Classifier.from_pretrained(engines, "cpu", name)
    classifier.save_pretrained(tmp_path / "copy")
    for engine in (name, PLAIN):
        copy, original = (Classifier.from_pretrained(one, "cpu", engine) for one in (tmp_path / "copy", engines))
        assert np.array_equal(copy.logits(ListedTexts(TEXTS)), original.logits(ListedTexts(TEXTS)))
    assert (
        json.loads((tmp_path / "copy" / "forgeml.json").read_text())["files"].keys()
        == classifier.manifest["files"].keys()
    )


@pytest.mark.parametrize(("file", "says"), [("onnx/model.onnx", "not as it was saved"), ("tokenizer.json", "missing")])
def test_files_that_have_changed_are_refused(engines: Path, tmp_path: Path, file: str, says: str) -> None:
    """An engine looks at its own files, and torch at its own."""
    place = Path(shutil.copytree(engines, tmp_path / "copy"))
    if says == "missing":
        (place / file).unlink()
    else:
        (place / file).write_bytes(b"other")
    with pytest.raises(ModelError, match=says):
        Classifier.from_pretrained(place, "cpu", "onnx-fp32")
    if file.startswith("onnx"):
        assert Classifier.from_pretrained(place, "cpu", PLAIN).predict(["good"])


def test_best_engine_is_taken_by_itself(trained: Path, tmp_path: Path) -> None:
    """A folder whose record names an engine is opened with it; plain transformers opens the folder all the same."""
    pytest.importorskip("onnx")
    place = with_all_engines(trained / "best_model", tmp_path / "best_model", "onnx-int8")
    assert Classifier.from_pretrained(place).engine == "onnx-int8"
    assert pipeline("text-classification", model=str(place))("good")[0]["label"] in {"neg", "pos"}
    change_record(place, machine={"processor": "another", "instructions": []})
    classifier = Classifier.from_pretrained(place)
    assert (classifier.engine, "another machine" in classifier.note) == (PLAIN, True)
