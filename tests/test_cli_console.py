"""What a person sees."""

from __future__ import annotations

import dataclasses

import pytest

from forgeml.cli import console
from forgeml.cli.console import Watcher, clock, metrics_table, state_line
from forgeml.events import Evaluation, Note, Progress, StepReport, TrainingResult


def _step(step: int, seconds: float = 0.5) -> StepReport:
    return StepReport(step, 100, step / 100, 0.6931, 1e-4, 1.0, 32, seconds)


def test_progress_shows_loss_speed_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is no terminal, a line from time to time says how far the run is."""
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)
    with Watcher() as tell:
        tell(_step(1))
        tell(_step(2))
    assert "training       2/100  loss 0.6931  64 examples/s  0:49 left" in capsys.readouterr().err


def test_quiet_watcher_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Of several processes one tells the story."""
    with Watcher(quiet=True) as tell:
        tell(Note("machine", "cpu"))
        tell(_step(1))
    assert capsys.readouterr() == ("", "")


def test_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In a terminal the same figures stand beside a bar that redraws itself."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "140")
    with Watcher() as tell:
        tell(_step(40))
    said = capsys.readouterr().err
    assert "━" in said
    assert "40/100" in said
    assert "64 examples/s" in said


def test_rows_of_a_file_show_speed_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an earlier run had done counts for neither; without a size there is no time left."""
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)
    times = iter(range(0, 1000, 10))
    monkeypatch.setattr(console.time, "monotonic", lambda: float(next(times)))
    with Watcher() as tell:
        tell(Progress("score", 1000, 4000, rows=500))
        tell(Progress("score", 2000, 4000, rows=5500))
        tell(Progress("pipe", 0, 0, rows=0))
        tell(Progress("pipe", 3000, 0, rows=3000))
    said = capsys.readouterr().err.splitlines()
    assert said[0].split() == ["score", "500", "rows"]
    assert said[1].startswith("score          5,500 rows  ")
    assert " rows/s  " in said[1]
    assert said[1].endswith(" left")
    assert "rows/s" in said[3]
    assert "left" not in said[3]


def test_terminal_shows_rows_where_there_is_no_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """How much comes through a pipe is not known, and the rows are told all the same."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "140")
    with Watcher() as tell:
        tell(Progress("score", 12_345, 0, rows=12_345))
    assert "12,345 rows" in capsys.readouterr().err


def test_texts_in_notes_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Square brackets, as in slices and labels, come out as they went in."""
    with Watcher() as tell:
        tell(Note("data", "train[:10], classes [red], [/]"))
        tell(Progress("tokenize", 1, 2))
        tell(Evaluation("validation", 10, {"accuracy": 0.5}, 3, 0.25))
    said = capsys.readouterr().err
    assert "data           train[:10], classes [red], [/]" in said
    assert "validation     step 3  epoch 0.25  accuracy 0.5000" in said


def test_metrics_table_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """The result is on stdout with a column for each split."""
    metrics_table({"validation": {"accuracy": 0.5}, "test": {"accuracy": 0.25}})
    said = capsys.readouterr()
    assert "0.5000" in said.out
    assert "0.2500" in said.out
    assert said.err == ""


def test_long_topic_is_followed_by_a_blank(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A topic wider than its column does not run into the figures."""
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)
    with Watcher() as tell:
        tell(Progress("score validation", 960, 1008))
    assert "score validation 960/1008" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, "0:00"), (61, "1:01"), (3725, "1:02:05")])
def test_clock(seconds: float, shown: str) -> None:
    """Durations are minutes and seconds, with hours where there are any."""
    assert clock(seconds) == shown


def test_result_names_folder_run_and_model(capsys: pytest.CaptureFixture[str]) -> None:
    """The last lines say where the model is, on disk and in MLflow; without tracking there is one line less."""
    result = TrainingResult("out/best_model", {}, 5, 9, 61.0, "run1", "m-2")
    with Watcher() as tell:
        tell(result)
        tell(dataclasses.replace(result, run_id=None, model_id=None))
    assert capsys.readouterr().err.splitlines() == [
        "tracking       MLflow run run1, model models:/m-2",
        "result         out/best_model (step 5 of 9), 1:01 in all",
        "result         out/best_model (step 5 of 9), 1:01 in all",
    ]


def test_metric_of_one_split_alone_has_an_empty_cell(capsys: pytest.CaptureFixture[str]) -> None:
    """A metric that is not defined on some split is shown for the others."""
    metrics_table({"validation": {"accuracy": 0.5, "roc_auc": 0.75}, "test": {"accuracy": 1.0}})
    row = next(line for line in capsys.readouterr().out.splitlines() if "roc_auc" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["roc_auc", "0.7500", ""]


def test_findings_stand_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """A long text goes on below its beginning, not below its topic, and nothing of it is left out."""
    state_line("warning", "cache", "/a/path/" + "x" * 300, "remove it")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].startswith("warning  cache         /a/path/")
    assert lines[1].startswith(" " * 23 + "x")
    assert "".join(line[23:] for line in lines[:-1]) == "/a/path/" + "x" * 300
    assert lines[-1] == " " * 23 + "fix: remove it"
