"""`forgeml evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import forgeml


def test_same_figures_as_the_training_wrote(trained: Path, reviews: Path) -> None:
    """Scoring the saved model on the same test file gives the metrics in its manifest."""
    manifest = json.loads((trained / "best_model" / "forgeml.json").read_text())
    done = forgeml("evaluate", trained / "best_model", reviews, "--device", "cpu", "--json")
    answer = json.loads(done.stdout)
    assert (answer["split"], answer["examples"]) == ("test", 80)
    assert answer["metrics"] == pytest.approx(manifest["metrics"]["test"], abs=1e-6)


@pytest.mark.slow
def test_single_file_and_slice(trained: Path, reviews: Path) -> None:
    """One file is scored whole, or the slice that is asked for; the table names it."""
    answer = forgeml("evaluate", trained / "best_model", reviews / "test.csv", "--split", "train[:10]")
    assert answer.returncode == 0, answer.stderr
    assert "10 texts" in answer.stdout


@pytest.mark.slow
def test_device_that_is_not_there(trained: Path, reviews: Path) -> None:
    """The device asked for is the one that is used, or the answer is exit code 5."""
    answer = forgeml("evaluate", trained / "best_model", reviews, "--device", "cuda:99")
    assert answer.returncode == 5
    assert "cuda:99 is not on this machine" in answer.stderr


@pytest.mark.slow
def test_label_that_the_model_does_not_know(trained: Path) -> None:
    """A strange label is exit code 3 and is named with its number of rows."""
    Path("strange.csv").write_text("text,label\ngood,pos\nbad,awful\n")
    answer = forgeml("evaluate", trained / "best_model", "strange.csv")
    assert answer.returncode == 3
    assert "'awful' (1 row" in answer.stderr
