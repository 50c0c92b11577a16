"""The door: help, version, exit codes, and how errors look."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from ruamel.yaml import YAML

from command import forgeml, run
from conftest import REPOSITORY
from forgeml.cli import main as door
from forgeml.errors import (
    ConfigError,
    DataError,
    ForgeError,
    HubError,
    MachineError,
    ModelError,
    Stopped,
    TrainingError,
)

COMMANDS = ("init", "plan", "train", "predict", "evaluate", "config")


def test_help_names_every_command_with_an_example() -> None:
    """`forgeml --help` lists each command and shows one use of each."""
    answer = forgeml("--help")
    assert answer.returncode == 0
    listed = answer.stdout.split("Commands:")[1]
    for command in COMMANDS:
        assert f"\n    forgeml {command}" in answer.stdout
        assert f"\n  {command}" in listed


def test_help_is_light() -> None:
    """Help imports neither torch nor transformers, nor anything else that is slow."""
    program = (
        "import sys; from forgeml.cli.main import run; run(['--help']); "
        "slow = {'torch', 'transformers', 'datasets', 'mlflow', 'numpy', 'pydantic', 'rich', 'sklearn'}; "
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)"
    )
    assert run(sys.executable, "-c", program).stderr.strip() == "[]"


def test_no_arguments_show_the_help() -> None:
    """`forgeml` alone is a question, not a mistake."""
    assert forgeml().stdout == forgeml("--help").stdout


def test_version() -> None:
    """`forgeml --version` says which one this is."""
    assert forgeml("--version").stdout == "forgeml 0.1.0\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["trian"], "Did you mean 'train'"),
        (["predict"], "Missing argument"),
        (["predict", "model"], "Missing argument"),
        (["predict", "model", "text", "--jsno"], "--jsno"),
        (["predict", "model", "text", "other", "--pair", "x"], "--pair: 2 texts and 1 second texts"),
        (["init"], "Missing argument"),
        (["init", "--data.encoding", "cp1252"], "DATA: is missing"),
        (["init", "a.csv", "b.csv"], "b.csv: unexpected argument"),
        (["evaluate", "best_model", "--data.delimiter", ";"], "DATA: is missing"),
        (["evaluate", "best_model", "a.csv", "--data.delimter", ";"], "did you mean --data.delimiter?"),
        (["config", "--training.learnng_rate", "1"], "training.learning_rate"),
    ],
)
def test_wrong_usage_is_told_with_a_fix(arguments: list[str], says: str) -> None:
    """Usage that cannot be is exit code 2, two lines, no traceback."""
    answer = forgeml(*arguments)
    assert answer.returncode == 2
    assert says in answer.stderr
    assert "\n  fix: " in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stdout == ""


def test_error_that_another_process_says_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of several processes that end with an error, one says it; the codes are the same."""

    def fail(*arguments: Any, **options: Any) -> None:
        error = DataError.at("here", "this is wrong", "do that")
        error.told_elsewhere = True
        raise error

    monkeypatch.setattr(door, "app", fail)
    assert door.run(["train"]) == DataError.exit_code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ConfigError, 2),
        (DataError, 3),
        (ModelError, 4),
        (MachineError, 5),
        (HubError, 6),
        (TrainingError, 7),
    ],
)
def test_each_kind_of_error_has_its_exit_code(
    kind: type[ForgeError], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kinds and their codes are the promised ones, and the text is the same for all."""

    def fail(*arguments: Any, **options: Any) -> None:
        raise kind.at("here", "this is wrong", "do that")

    monkeypatch.setattr(door, "app", fail)
    assert door.run(["train"]) == code
    assert capsys.readouterr().err == "here: this is wrong\n  fix: do that\n"


@pytest.mark.parametrize("ending", [0, 3, "a text"])
def test_other_endings_keep_their_code(ending: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever ends the program on purpose says with which code."""

    def end(*arguments: Any, **options: Any) -> None:
        raise SystemExit(ending)

    monkeypatch.setattr(door, "app", end)
    with pytest.raises(SystemExit) as caught:
        door.run(["train"])
    assert caught.value.code == ending


def test_pipe_that_breaks_elsewhere_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A connection that breaks in the middle of the work is told, though it looks like a reader that went away."""

    def fail(*arguments: Any) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("forgeml.config.loading.json_schema", fail)
    assert door.run(["config", "--schema"]) == 1
    said = capsys.readouterr().err
    assert "a bug: BrokenPipeError" in said
    Path(said.rsplit(" ", 1)[1].strip()).unlink()


@pytest.mark.parametrize(
    ("error", "code"),
    [(Stopped(signal.SIGINT), 130), (Stopped(signal.SIGTERM), 143), (Stopped(signal.SIGHUP), 129)],
)
def test_signals_have_the_codes_of_the_shell(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is 130, SIGTERM is 143, SIGHUP is 129."""

    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(door, "app", fail)
    assert door.run(["train"]) == code


def test_bug_report_shows_no_secret(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is made to be sent to somebody, so addresses in it have lost their passwords, and tokens are hidden."""
    secret = "hf_" + "a" * 30

    def fail(*arguments: Any, **options: Any) -> None:
        raise ZeroDivisionError(f"at https://me:s3cret@hub.example/x with {secret}")

    monkeypatch.setattr(door, "app", fail)
    assert door.run(["train"]) == 1
    said = capsys.readouterr().err
    log = Path(said.rsplit(" ", 1)[1].strip())
    for text in (said, log.read_text()):
        assert "https://" in text
        assert "s3cret" not in text
        assert secret not in text
    log.unlink()


def test_bug_leaves_one_sentence_and_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What nobody foresaw is exit code 1; the traceback goes to a file that the message names."""

    def fail(*arguments: Any, **options: Any) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr(door, "app", fail)
    assert door.run(["train"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said
    log = Path(said.rsplit(" ", 1)[1].strip())
    assert "ZeroDivisionError: of all things" in log.read_text()
    log.unlink()


def test_reader_that_goes_away_is_no_error() -> None:
    """A pipe that ends early, as of `head`, ends the command quietly."""
    answer = run("bash", "-c", f"set -o pipefail; {sys.executable} -m forgeml config --schema | true")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


@pytest.mark.slow
def test_locale_without_utf8(trained: Path) -> None:
    """Under LC_ALL=C texts of any script go through."""
    command = [
        sys.executable,
        "-m",
        "forgeml",
        "predict",
        str(trained / "best_model"),
        "schön 好",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "LC_ALL": "C"}, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode())["text"] == "schön 好"


SLEEPER = """
import os, signal, sys, time
from forgeml.cli import main as door
from forgeml.errors import Stopped

door.ONE_STOP_S = float(sys.argv[1])
def work(*arguments, **options):
    try:
        print("ready", flush=True)
        time.sleep(30)
    except Stopped:
        print("cleaning up", flush=True)
        time.sleep(float(sys.argv[2]))
        print("clean", flush=True)
        raise
door.app = work
door.main(["train"])
"""


def _sleeper(once: float, clean_up: float, ignored: list[int]) -> subprocess.Popen[str]:
    """A process that waits to be stopped, has said so, and was started with these signals ignored."""

    def before() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    words = [sys.executable, "-c", SLEEPER, str(once), str(clean_up)]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=before, env=os.environ
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_signal_stops_the_process(number: int, code: int) -> None:
    """Each of the three lets the program clean up and ends it with its code; two at once are one."""
    process = _sleeper(60, 0.3, [])
    process.send_signal(number)
    assert process.stdout is not None
    assert process.stdout.readline() == "cleaning up\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "clean\n", "stopped\n")


FREEING = """
import signal, sys, time
import typer
from forgeml.cli import main as door

class Freed:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

@door.app.command("free")
def free():
    Freed()
    time.sleep(60)

door.main(["free"])
"""


def test_signal_is_not_lost_while_something_is_freed() -> None:
    """Python drops exceptions that come just then, such as the one that a signal to stop becomes."""
    done = run(sys.executable, "-c", FREEING)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "stopped\n")


def test_process_that_does_not_tell_the_error_outlives_the_one_that_does() -> None:
    """The second of two processes with one mistake ends when told to; before that, a launcher would stop the first."""
    place = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    command = [sys.executable, "-m", "forgeml", "train", "--no-such-option"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env={**os.environ, **place}, **pipes) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (143, "", "")


def test_second_signal_ends_at_once() -> None:
    """Whoever asks again, later on, does not wait for the cleaning up, and sees no traceback."""
    process = _sleeper(0, 600, [])
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "cleaning up\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (143, "", "")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_ignored_signals_stay_ignored(number: int) -> None:
    """Under nohup a lost terminal stops nothing."""
    process = _sleeper(0, 0, [number])
    process.send_signal(number)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143


def _heed() -> None:
    """Take back that Ctrl-C is ignored, as it is where the tests run in a script's background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_in_a_real_run(tiny_settings: dict[str, Any], tmp_path: Path, number: int, code: int) -> None:
    """A signal in the middle of training ends it with the code, the best model so far kept and the run KILLED."""
    settings = {
        **tiny_settings,
        "training": {**tiny_settings["training"], "num_epochs": 5000},
        "logging": {"eval_interval": 5},
        "output_dir": str(tmp_path),
    }
    with (tmp_path / "config.yaml").open("w") as file:
        YAML(typ="safe").dump(settings, file)
    with (tmp_path / "log").open("w") as log:
        run = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "train.py")], stderr=log, cwd=tmp_path, preexec_fn=_heed
        )
    ends = time.monotonic() + 100
    while "\nvalidation" not in (tmp_path / "log").read_text() and time.monotonic() < ends:
        time.sleep(0.1)
    run.send_signal(number)
    assert run.wait(60) == code, (tmp_path / "log").read_text()
    said = (tmp_path / "log").read_text()
    assert "Traceback" not in said
    assert "last_model" in said
    assert (tmp_path / "last_model" / "model.safetensors").is_file()
    assert not (tmp_path / "best_model").exists()
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (found,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert found.info.status == "KILLED"
