"""Where a run writes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forgeml.errors import MachineError, Stopped
from forgeml.inference.classifier import Classifier
from forgeml.model import publishing
from forgeml.model.pretrained import build_classifier, fetch_pretrained, open_tokenizer
from forgeml.model.saved import Classifying
from forgeml.training import outputs as module
from forgeml.training.outputs import Outputs

MANIFEST: dict[str, Any] = {
    "task": "single_label",
    "labels": ["neg", "pos"],
    "metrics": {},
    "config": {},
    "data": {"name": "reviews", "rows": {"train": 9}, "text_column": "text"},
    "model": {"name": "tiny", "commit": None},
}


@pytest.fixture
def parts(tiny_model: Path) -> Classifying:
    """What is saved: model, tokenizer, longest text."""
    pretrained = fetch_pretrained(str(tiny_model), None)
    tokenizer = open_tokenizer(pretrained)
    return Classifying(build_classifier(pretrained, "single_label", ["neg", "pos"], tokenizer), tokenizer, 64)


def _then_stop(work: Callable[..., object]) -> Callable[..., None]:
    """The function with a signal right after it."""

    def run(*arguments: object) -> None:
        work(*arguments)
        signal.raise_signal(signal.SIGTERM)

    return run


def test_looking_writes_nothing(tmp_path: Path) -> None:
    """The folder is checked, not made, before there is something to put into it."""
    outputs = Outputs(str(tmp_path / "new" / "deep"))
    assert outputs.best == tmp_path / "new" / "deep" / "best_model"
    assert list(tmp_path.iterdir()) == []


def test_something_else_in_the_place_is_refused(tmp_path: Path) -> None:
    """A folder called best_model that is no saved model is never written over."""
    (tmp_path / "best_model").mkdir()
    (tmp_path / "best_model" / "notes.txt").write_text("mine")
    with pytest.raises(MachineError, match="not a saved model"):
        Outputs(str(tmp_path))


def test_output_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """A file where the folder should be is said before the training."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError):
        Outputs(str(tmp_path / "file"))


def test_user_who_is_not_there_is_a_name(tmp_path: Path) -> None:
    """`~nobody` of an unknown user is a folder of that name, not a crash."""
    assert Outputs("~no-such-user/x").best == Path("~no-such-user/x/best_model")
    assert Outputs("~/x").best == Path(os.environ["HOME"]) / "x" / "best_model"


def test_finished_run_leaves_one_folder(parts: Classifying, tmp_path: Path) -> None:
    """After two kept models and the publishing only `best_model/` is there."""
    outputs = Outputs(str(tmp_path))
    outputs.keep(parts)
    outputs.keep(parts)
    outputs.publish(MANIFEST)
    outputs.clean()
    assert outputs.published
    assert os.listdir(tmp_path) == ["best_model"]


def test_room_is_for_models_and_checkpoints(
    parts: Classifying, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each checkpoint takes weights, two moments and a best model, one more than are kept; older ones count as free."""
    model = parts.model
    weights = sum(weight.nbytes for weight in (*model.parameters(), *model.buffers()))
    trained = sum(weight.nbytes for weight in model.parameters())
    each = 3 * trained + weights
    one, more = (Outputs(str(tmp_path), kept).check_room(model) for kept in (1, 4))
    assert (one.model, one.checkpoints, more.checkpoints) == (weights, 2 * each, 5 * each)
    assert more.needed - one.needed == 3 * each
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "old").write_bytes(b"x" * 1_000_000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2_000_000))
    with pytest.raises(
        MachineError, match=r"MB are needed, of which .* MB for checkpoints, and 3 MB are free"
    ) as caught:
        Outputs(str(tmp_path)).check_room(model)
    assert caught.value.problems[0].where == str(tmp_path)


@pytest.mark.parametrize("existing", ["replace", "keep"])
def test_older_model_goes_or_stays(existing: str, parts: Classifying, tmp_path: Path) -> None:
    """It stands until the new one is whole; then it is removed, or moved aside."""
    for label in ("old", "new"):
        outputs = Outputs(str(tmp_path), on_existing_model=existing)
        outputs.keep(parts)
        if label == "new":
            assert json.loads((tmp_path / "best_model" / "forgeml.json").read_text())["labels"] == ["old"]
        outputs.publish(MANIFEST | {"labels": [label]})
        outputs.clean()
    kept = ["best_model", "best_model.1"] if existing == "keep" else ["best_model"]
    assert sorted(os.listdir(tmp_path)) == kept
    labels = [json.loads((tmp_path / name / "forgeml.json").read_text())["labels"] for name in kept]
    assert labels == [["new"], ["old"]][: len(kept)]


@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_folder_that_goes_during_the_run(how: str, parts: Classifying, tmp_path: Path) -> None:
    """Nothing more is written, neither there nor in a new folder of that name, and the reason is told."""
    folder = tmp_path / "out"
    folder.mkdir()
    outputs = Outputs(str(folder))
    outputs.keep(parts)
    if how == "removed":
        shutil.rmtree(folder)
    else:
        folder.rename(tmp_path / "elsewhere")
    if how == "replaced":
        folder.mkdir()
    before = sorted(tmp_path.rglob("*"))
    for work in (lambda: outputs.keep(parts), lambda: outputs.publish(MANIFEST), outputs.check_there):
        with pytest.raises(MachineError, match="was moved or removed during the run") as caught:
            work()
        assert caught.value.problems[0].where == str(folder)
    assert outputs.keep_after_stop(MANIFEST) is None
    outputs.clean()
    assert sorted(tmp_path.rglob("*")) == before


def test_working_folder_that_goes_during_the_run(
    parts: Classifying, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where the output folder is the one that the process stands in."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    outputs = Outputs(".")
    outputs.check_there()
    (tmp_path / "work").rmdir()
    with pytest.raises(MachineError, match="was moved or removed") as caught:
        outputs.keep(parts)
    assert caught.value.problems[0].where == str(tmp_path / "work")


def test_folder_that_was_not_there_is_made(parts: Classifying, tmp_path: Path) -> None:
    """A run that begins without its folder makes it."""
    outputs = Outputs(str(tmp_path / "new"))
    outputs.keep(parts)
    outputs.check_there()
    assert len(os.listdir(tmp_path / "new")) == 1


@pytest.mark.usefixtures("stopping")
def test_stop_right_after_the_exchange(parts: Classifying, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new model is in place, the old one is gone, and nothing is taken for the best model so far."""
    first = Outputs(str(tmp_path))
    first.keep(parts)
    first.publish(MANIFEST | {"labels": ["old"]})
    outputs = Outputs(str(tmp_path))
    outputs.keep(parts)
    monkeypatch.setattr(publishing, "exchange", _then_stop(publishing.exchange))
    with pytest.raises(Stopped):
        outputs.publish(MANIFEST)
    assert outputs.published
    assert outputs.keep_after_stop(MANIFEST) is None
    outputs.clean()
    assert os.listdir(tmp_path) == ["best_model"]
    assert json.loads((tmp_path / "best_model" / "forgeml.json").read_text())["labels"] == ["neg", "pos"]


@pytest.mark.usefixtures("stopping")
def test_stop_before_the_publishing_keeps_the_best(
    parts: Classifying, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal once the manifest is written leaves the whole model in `last_model/`."""
    outputs = Outputs(str(tmp_path))
    outputs.keep(parts)
    monkeypatch.setattr(module, "write_manifest", _then_stop(module.write_manifest))
    with pytest.raises(Stopped):
        outputs.publish(MANIFEST)
    assert outputs.keep_after_stop() == tmp_path / "last_model"
    outputs.clean()
    assert os.listdir(tmp_path) == ["last_model"]
    assert Classifier.from_pretrained(tmp_path / "last_model", "cpu").manifest["labels"] == ["neg", "pos"]


@pytest.mark.usefixtures("stopping")
def test_second_signal_waits_for_the_keeping(
    parts: Classifying, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who presses Ctrl-C twice still gets the best model so far."""
    outputs = Outputs(str(tmp_path))
    outputs.keep(parts)
    monkeypatch.setattr(module, "write_manifest", _then_stop(module.write_manifest))
    with pytest.raises(Stopped):
        outputs.keep_after_stop(MANIFEST)
    outputs.clean()
    assert os.listdir(tmp_path) == ["last_model"]


def test_last_model_has_a_manifest(parts: Classifying, tmp_path: Path) -> None:
    """`last_model/` opens with the columns it was trained on, even though it has no metrics."""
    outputs = Outputs(str(tmp_path))
    outputs.keep(parts)
    outputs.keep_after_stop(MANIFEST)
    outputs.clean()
    classifier = Classifier.from_pretrained(tmp_path / "last_model", "cpu")
    assert classifier.manifest["data"]["text_column"] == "text"
    assert classifier.manifest["metrics"] == {}


def test_best_so_far_is_kept_without_a_manifest_if_need_be(
    parts: Classifying, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full by now does not cost the model of a stopped run."""
    outputs = Outputs(str(tmp_path))
    outputs.keep(parts)

    def refuse(folder: Path, manifest: object) -> None:
        raise MachineError.at(str(folder), "cannot be written", "free some space")

    monkeypatch.setattr(module, "write_manifest", refuse)
    assert outputs.keep_after_stop(MANIFEST) == tmp_path / "last_model"
    assert Classifier.from_pretrained(tmp_path / "last_model", "cpu").manifest == {}


def test_nothing_is_kept_before_the_first_evaluation(tmp_path: Path) -> None:
    """A run that is stopped at once has no best model."""
    assert Outputs(str(tmp_path)).keep_after_stop(MANIFEST) is None
    assert os.listdir(tmp_path) == []


def test_killed_run_is_cleaned_up_by_the_next(parts: Classifying, tmp_path: Path) -> None:
    """What a killed run had written beside goes with the next run; what another run writes stays."""
    script = (
        "import os, sys; from forgeml.training.outputs import Outputs\n"
        "Outputs(sys.argv[1]).prepared.mkdir(); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    other = Outputs(str(tmp_path))
    other.keep(parts)
    assert len(os.listdir(tmp_path)) == 1
    outputs = Outputs(str(tmp_path))
    outputs.keep(parts)
    outputs.publish(MANIFEST)
    assert sorted(os.listdir(tmp_path)) == sorted([other.prepared.name, "best_model"])
