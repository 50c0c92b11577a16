"""`forgeml doctor`."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from command import forgeml, run
from forgeml.training.lock import locked
from refusals import Answer, answer_of, snapshot


@pytest.fixture
def config(tiny_settings: dict[str, Any], tmp_path: Path) -> Path:
    """A file with the tiny settings and an output folder of its own."""
    with (tmp_path / "config.yaml").open("w") as file:
        YAML(typ="safe").dump({**tiny_settings, "output_dir": "out"}, file)
    return tmp_path / "config.yaml"


def found_by(answer: Answer) -> list[dict[str, Any]]:
    """The findings that were written as JSON."""
    told = json.loads(answer.out)
    assert told["well"] is (answer.code == 0)
    findings: list[dict[str, Any]] = told["findings"]
    assert any(one["state"] == "problem" for one in findings) is not told["well"]
    assert all(one["fix"] for one in findings if one["state"] != "ok")
    return findings


def test_empty_folder_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line has its state, the last one says what is the matter, and nothing is written."""
    answer = answer_of(capsys, "doctor")
    assert answer.code in (0, 5), answer.err
    lines = answer.out.splitlines()
    assert {line.split(" ")[0] for line in lines if not line.startswith(" ")} <= {"ok", "warning", "problem"}
    assert any(words in lines[-1] for words in ("all is well", "warning", "problem"))
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in answer.out + answer.err


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """The same findings for programs, with figures."""
    findings = found_by(answer_of(capsys, "doctor", "--json", "--fast"))
    topics = {one["topic"] for one in findings}
    wanted = {"packages", "machine", "threads", "memory", "device", "precision", "disk", "output", "lock", "tracking"}
    assert wanted <= topics
    assert next(one for one in findings if one["topic"] == "threads")["facts"]["threads"] >= 1


def test_configuration_says_where_to_look(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """config.yaml is taken where there is one, and any other by its name."""
    shutil.copy(config, "other.yaml")
    for arguments in ([], ["other.yaml"]):
        with locked("out"):
            findings = found_by(answer_of(capsys, "doctor", *arguments, "--json", "--fast"))
        assert findings[0]["text"].endswith(".yaml is in order")
        lock = next(one for one in findings if one["topic"] == "lock")
        assert (lock["facts"]["state"], lock["facts"]["pid"]) == ("held", os.getpid())


def test_folder_is_the_output_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a configuration a folder can be named."""
    (tmp_path / "runs").mkdir()
    findings = found_by(answer_of(capsys, "doctor", "runs", "--json", "--fast"))
    assert next(one for one in findings if one["topic"] == "output")["facts"]["folder"] == str(tmp_path / "runs")


def test_place_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt name is exit code 2."""
    answer = answer_of(capsys, "doctor", "no-such.yaml")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("no-such.yaml: is neither a configuration nor a folder\n  fix: ")


def test_broken_configuration_is_a_finding(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its problems stand in the report, and all else is looked at by the defaults."""
    config.write_text(config.read_text().replace("batch_size", "batchsize"))
    answer = answer_of(capsys, "doctor", "--json", "--fast")
    assert answer.code == 5
    findings = found_by(answer)
    assert findings[0]["topic"] == "configuration"
    assert "training.batchsize: unknown setting" in findings[0]["text"]
    assert any(one["topic"] == "tracking" for one in findings)


def test_problem_is_exit_code_5_and_stands_at_the_end(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several things are broken at once; each is told with what to do, and nothing is changed."""
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 100)
    (tmp_path / "out").write_text("a file")
    before = snapshot(tmp_path)
    answer = answer_of(capsys, "doctor", "--fast")
    assert answer.code == 5
    assert snapshot(tmp_path) == before
    lines = answer.out.splitlines()
    assert "problem" in lines[-1]
    wrong = [line for line in lines if line.startswith("problem")]
    assert len(wrong) >= 2
    assert lines.index(wrong[0]) > max(number for number, line in enumerate(lines) if line.startswith("ok"))
    assert answer.out.count("fix: ") >= len(wrong)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """A folder whose name is no UTF-8 does not end in a traceback, on the screen and as JSON."""
    folder = os.fsencode(tmp_path) + b"/\xff\xfe"
    os.mkdir(folder)
    for more in ([], ["--json"]):
        answer = run(sys.executable, "-m", "forgeml", "doctor", os.fsdecode(folder), "--fast", *more)
        assert answer.returncode in (0, 5), answer.stderr
        assert "Traceback" not in answer.stdout + answer.stderr
    json.loads(answer.stdout)


def test_libraries_that_are_absent(tmp_path: Path) -> None:
    """Without torch and the hub's client, all else is looked at, and the report says what was not."""
    for package in ("torch", "huggingface_hub", "mlflow"):
        (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('absent', name='{package}')\n")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from forgeml.cli.main import run; "
        "sys.exit(run(['doctor', '--json', '--fast', '.']))"
    )
    answer = run(sys.executable, "-c", program)
    assert answer.returncode in (0, 5), answer.stderr
    texts = [one["text"] for one in json.loads(answer.stdout)["findings"]]
    assert "this was not looked at, as torch is not installed" in texts
    assert "this was not looked at, as huggingface_hub is not installed" in texts
    assert any("no training runs there" in text for text in texts)


@pytest.mark.slow
def test_command_itself(tmp_path: Path) -> None:
    """As a person calls it."""
    answer = forgeml("doctor", "--fast", cwd=tmp_path)
    assert answer.returncode in (0, 5), answer.stderr
    assert "precision" in answer.stdout
