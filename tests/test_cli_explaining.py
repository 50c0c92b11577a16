"""`forgeml predict --explain`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from command import forgeml
from refusals import answer_of

TEXT = "the film was wonderful [bold]and[/bold] not boring"


def test_json_has_the_words_with_their_places(trained: Path) -> None:
    """One object a text, with what predict says and the words under `explanations`; nothing else on stdout."""
    answer = forgeml("predict", trained / "best_model", TEXT, "an awful film", "--explain", "--json")
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [line["text"] for line in lines] == [TEXT, "an awful film"]
    for line in lines:
        assert list(line) == ["text", "label", "score", "scores", "explanations"]
        [found] = line["explanations"]
        assert found["label"] == line["label"]
        for word in found["words"]:
            assert line["text"][word["start"] : word["end"]] == word["text"]
    top = max(lines[1]["explanations"][0]["words"], key=lambda word: word["weight"])
    assert top["text"] == "awful"


def test_plain_form_lists_and_brackets_the_words(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there are no colours, the words that matter stand in a table with their signs, and in brackets."""
    answer = answer_of(capsys, "predict", trained / "best_model", TEXT, "--explain", "--device", "cpu")
    assert answer.code == 0
    assert re.search(r"│ wonderful +│ \+\d", answer.out)
    assert "[wonderful]" in answer.out
    assert "words for and against pos (log-odds " in answer.out


def test_terminal_gets_colours(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a terminal the strongest word is on green, one against it is red, and there are no brackets."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    answer = answer_of(capsys, "predict", trained / "best_model", "a wonderful film", "--explain", "--device", "cpu")
    assert "\x1b[1;30;42mwonderful\x1b[0m" in answer.out
    assert "[wonderful]" not in answer.out


def test_words_that_are_not_read_are_told(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How many words the model does not read is said below the text."""
    answer = answer_of(capsys, "predict", trained / "best_model", "good " * 70, "--explain", "--device", "cpu")
    assert "8 words not read" in answer.out


def test_empty_text(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A text without words has an answer and no marks."""
    answer = answer_of(capsys, "predict", trained / "best_model", "", "--explain", "--device", "cpu")
    assert answer.code == 0
    assert "no word matters" in answer.out
