"""`forgeml train` and `python train.py`."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from command import forgeml, run, train_py


@pytest.fixture
def config(tiny_settings: dict[str, Any], tmp_path: Path) -> Path:
    """A file with the tiny settings; the run writes into the test's own folder."""
    with (tmp_path / "config.yaml").open("w") as file:
        YAML(typ="safe").dump(tiny_settings, file)
    return tmp_path / "config.yaml"


@pytest.mark.slow
def test_train_py_is_the_same_as_forgeml_train(config: Path) -> None:
    """Both end with exit code 0 and the same metrics; results on stdout, the story on stderr."""
    one = train_py("--training.num_epochs", "1", "--json")
    other = forgeml("train", "config.yaml", "--training.num_epochs=1", "--json")
    assert (one.returncode, other.returncode) == (0, 0), one.stderr + other.stderr
    assert json.loads(one.stdout)["metrics"] == json.loads(other.stdout)["metrics"]
    for topic in ("configuration", "model", "data", "tokens", "validation", "result"):
        assert f"\n{topic}" in "\n" + one.stderr


@pytest.mark.slow
def test_reader_of_the_story_may_go_away(config: Path) -> None:
    """When whoever watches stderr is gone, the training goes on and leaves its model and its results."""
    command = f"set -o pipefail; {sys.executable} -m forgeml train --training.num_epochs 1 config.yaml --json"
    answer = run("bash", "-c", f"{command} 2>&1 >answer.json | head -n 1")
    assert answer.returncode == 0, answer.stdout
    assert len(answer.stdout.splitlines()) == 1
    assert json.loads(Path("answer.json").read_text())["steps"] > 1
    assert (config.parent / "best_model" / "model.safetensors").is_file()


@pytest.mark.slow
def test_odd_values_are_told_as_warnings(config: Path) -> None:
    """A learning rate that is hardly ever meant is said and then used."""
    answer = forgeml("train", config, "--training.num_epochs", "1", "--training.learning_rate", "0.02")
    assert answer.returncode == 0, answer.stderr
    assert "\nconfiguration  training.learning_rate is 0.02: " in answer.stderr


@pytest.mark.slow
def test_table_shows_validation_and_test(config: Path) -> None:
    """Without `--json` the metrics are a table with a column for each split."""
    answer = train_py("--training.num_epochs", "1")
    assert answer.returncode == 0, answer.stderr
    header = next(line for line in answer.stdout.splitlines() if "metric" in line)
    assert header.index("validation") < header.index("test")
    assert "accuracy" in answer.stdout


@pytest.mark.slow
def test_stopped_run_tells_the_command_that_goes_on(config: Path) -> None:
    """It is the one that was given, but not from the beginning, and goes on from the checkpoint of the stop."""
    command = [sys.executable, "-m", "forgeml", "train", "config.yaml", "--training.num_epochs", "4", "--fresh"]
    with subprocess.Popen([*command, "--logging.save_interval", "5"], stderr=subprocess.PIPE, text=True) as running:
        while not list(config.parent.glob("checkpoints/step-*/checkpoint.json")):
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=120)
    assert running.returncode == 130, said
    told = re.findall(r"^stopped +to go on: forgeml (train .*)$", said, re.MULTILINE)
    assert told == ["train config.yaml --training.num_epochs 4 --logging.save_interval 5"], said
    (step,) = re.findall(r"^stopped +a run that goes on does so after step (\d+)$", said, re.MULTILINE)
    done = forgeml(*shlex.split(told[0]), "--json")
    assert done.returncode == 0, done.stderr
    assert f"\ncheckpoint     goes on after step {step} of " in done.stderr


def test_mistake_is_told_before_the_slow_imports(config: Path) -> None:
    """A misspelt setting ends the command before torch is loaded and before anything is written."""
    program = (
        "import sys; from forgeml.cli.main import run; code = run(['train', '--training.sed', '1']); "
        "print(code, 'torch' in sys.modules)"
    )
    answer = run(sys.executable, "-c", program)
    assert answer.stdout == "2 False\n"
    assert "did you mean --training.seed?" in answer.stderr
    assert [file.name for file in config.parent.iterdir()] == ["config.yaml"]
