"""`forgeml predict`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from command import forgeml
from forgeml import Classifier


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
