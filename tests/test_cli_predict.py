"""`forgeml predict`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command import forgeml
from forgeml import Classifier
from refusals import answer_of


def test_json_lines_are_what_the_classifier_says(trained: Path) -> None:
    """One object a line with text, label, score and the score of each class; nothing else on stdout."""
    texts = ["a good film", "a bad [bold]film[/bold]\nindeed"]
    answer = forgeml("predict", trained / "best_model", *texts, "--json")
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    expected = Classifier.from_pretrained(trained / "best_model").predict(texts)
    for line, text, own in zip(lines, texts, expected, strict=True):
        assert list(line) == ["text", "label", "score", "scores"]
        assert (line["text"], line["label"]) == (text, own.label)
        assert line["score"] == pytest.approx(own.score, abs=1e-6)
        assert line["scores"] == pytest.approx(dict(own.scores), abs=1e-6)


@pytest.mark.slow
def test_table_shows_texts_as_they_are(trained: Path) -> None:
    """The table has label, score and text; square brackets in a text are no markup."""
    answer = forgeml("predict", trained / "best_model", "a [bold]good[/bold] film")
    assert answer.returncode == 0
    assert "a [bold]good[/bold] film" in answer.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nowhere", "."])
def test_folder_that_is_no_model(name: str) -> None:
    """A wrong folder is exit code 4 with a fix."""
    answer = forgeml("predict", name, "text")
    assert answer.returncode == 4
    assert "  fix: " in answer.stderr
    assert "Traceback" not in answer.stderr


def test_bytes_that_are_no_text() -> None:
    """An argument that is not UTF-8 is a mistake in usage, and is told with its place."""
    command = [sys.executable, "-m", "forgeml", "predict", "best_model", "fine", b"caf\xe9"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"text 2: is not UTF-8\n  fix: ")


def test_pair_is_refused_by_a_model_of_single_texts(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second text that the model was not trained on would mislead, and is told with what to do."""
    answer = answer_of(capsys, "predict", trained / "best_model", "good", "--pair", "fine", "--device", "cpu")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "--pair: this model was trained on single texts\n  fix: leave --pair out\n"


def test_single_text_is_refused_by_a_model_of_pairs(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One text alone is half of what the model was trained on."""
    shutil.copytree(trained / "best_model", tmp_path / "pairs")
    manifest = json.loads((tmp_path / "pairs" / "forgeml.json").read_text())
    manifest["data"]["text_pair_column"] = "second"
    (tmp_path / "pairs" / "forgeml.json").write_text(json.dumps(manifest))
    answer = answer_of(capsys, "predict", "pairs", "good", "--device", "cpu")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "--pair: this model was trained on pairs of texts\n  fix: give a --pair for each text\n"
    answer = answer_of(capsys, "predict", "pairs", "good", "--pair", "fine", "--device", "cpu", "--json")
    assert answer.code == 0
    assert json.loads(answer.out).items() >= {"text": "good", "text_pair": "fine"}.items()
