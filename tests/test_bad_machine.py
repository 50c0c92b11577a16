"""What a machine does to a run: rows E of the catalogue of bad input that are found before training or in its midst.

Each ends in a sentence with a fix, or goes on and says so; nothing is left half done.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from command import run
from forgeml import folders
from forgeml.config.schema import Config
from forgeml.errors import MachineError
from forgeml.events import Event, StepReport
from forgeml.resources import SystemMemory
from forgeml.training import memory
from forgeml.training.holder import Holder
from forgeml.training.lock import LOCK, Seen, locked, look
from forgeml.training.train import train
from local_hub import LocalHub
from outcomes import run_outcomes
from refusals import answer_of, assert_says, refusal_of

FILE = "config.yaml"
LONG_NAME = "x" * 200


@pytest.fixture
def config(tiny_settings: dict[str, Any]) -> str:
    """A file with the tiny settings for one epoch, which is fine."""
    with Path(FILE).open("w") as file:
        YAML(typ="safe").dump({**tiny_settings, "training": {**tiny_settings["training"], "num_epochs": 1}}, file)
    return FILE


def below_a_file() -> str:
    """An output folder on a way that leads through a file."""
    Path("notes.txt").write_text("mine")
    return "notes.txt/run"


def broken_link() -> str:
    """An output folder that is a link to nowhere."""
    Path("link").symlink_to("nowhere")
    return "link"


def too_long_a_name() -> str:
    """An output folder that no file system takes."""
    return "x" * 300


def too_long_a_path() -> str:
    """An output folder whose files would have no names any more."""
    return "/".join([LONG_NAME] * 21)


E02: dict[str, tuple[Callable[[], str], str]] = {
    "E02-below-a-file": (below_a_file, "notes.txt is a file, not a folder"),
    "E02-broken-link": (broken_link, "link is a link to nowhere, which is not there"),
    "E02-long-name": (too_long_a_name, "has 300 characters, which no file system takes"),
    "E02-long-path": (too_long_a_path, "characters, and 3,936 bytes may be used"),
}


@pytest.mark.parametrize("case", E02)
def test_e02_output_folder_that_cannot_be(
    case: str, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is found before anything is read, by the plan and by the training, in the same words."""
    make, words = E02[case]
    place = make()
    answer = refusal_of(capsys, tmp_path, "train", config, "--output_dir", place)
    assert answer.code == 5
    assert_says(
        answer.err, [f"--output_dir: {tmp_path}" if "link" in case else "--output_dir: ", words, "output_dir\n"]
    )
    assert "model " not in answer.err
    assert answer_of(capsys, "plan", config, "--output_dir", place).code == 5


@pytest.mark.parametrize("read_only", [True, False], ids=["E02-read-only", "E02-foreign"])
def test_e02_output_folder_without_rights(
    read_only: bool,
    config: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file system that can only be read, and a folder of somebody else, are told apart, before training."""
    (tmp_path / "out").mkdir()
    access, statvfs = os.access, os.statvfs

    class Mounted:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(folders.os, "access", lambda path, mode: Path(path) != tmp_path / "out" and access(path, mode))
    monkeypatch.setattr(folders.os, "statvfs", lambda path: Mounted if read_only else statvfs(path))
    monkeypatch.setattr(folders.os, "geteuid", lambda: 12345)
    answer = refusal_of(capsys, tmp_path, "train", config, "--output_dir", "out")
    assert answer.code == 5
    said = "can only be read" if read_only else "it belongs to root, and this is user 12345"
    assert_says(answer.err, [said if os.getuid() == 0 or read_only else "it belongs to "])


def test_e03_older_best_model(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is moved aside once the new one is whole, where the configuration says so; otherwise it goes then."""
    for seed, existing in (("1", "keep"), ("2", "keep"), ("3", "replace")):
        arguments = ["--on_existing_model", existing, "--training.seed", seed]
        assert answer_of(capsys, "train", config, *arguments).code == 0
    seeds = {
        str(place): json.loads((place / "forgeml.json").read_text())["config"]["training"]["seed"]
        for place in Path().glob("best_model*")
    }
    assert seeds == {"best_model": 3, "best_model.1": 1}


def test_e04_two_trainings_into_one_folder(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second is refused with the first one's process, before the slow imports."""
    with locked(str(tmp_path)):
        answer = refusal_of(capsys, tmp_path, "train", config)
        assert answer.code == 5
        assert_says(answer.err, ["in use by another training: process", str(os.getpid()), "fix: wait for its end"])
        assert "in use by another training" in answer_of(capsys, "plan", config).out
        program = (
            "import sys; from forgeml.cli.main import run; code = run(['train']); print(code, 'torch' in sys.modules)"
        )
        assert run(sys.executable, "-c", program).stdout == "5 False\n"


@pytest.mark.slow
def test_e04_e05_real_trainings(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two started at once one goes on; killed, its lock is taken over by the next, with a note."""
    long = ["--training.num_epochs", "5000"]
    command = [sys.executable, "-m", "forgeml", "train", config, *long]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ends = time.monotonic() + 100
    while all(one.poll() is None for one in both) and time.monotonic() < ends:
        time.sleep(0.05)
    first, second = sorted(both, key=lambda one: one.poll() is not None)
    assert (first.poll(), second.poll()) == (None, 5)
    assert f"in use by another training: process {first.pid} on " in second.communicate()[1]
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert look(str(tmp_path))[0] is Seen.GONE
    answer = answer_of(capsys, "train", config, "--fresh")
    assert answer.code == 0
    assert f"was left locked by process {first.pid} on " in answer.err
    assert not (tmp_path / LOCK).exists()


def test_e05_stale_lock(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a killed training has left is taken over with a note, also when its number is in use again."""
    left = replace(Holder.this(), pid=os.getppid(), began="1")
    (tmp_path / LOCK).write_text(json.dumps(asdict(left)))
    answer = answer_of(capsys, "train", config)
    assert answer.code == 0, answer.err
    assert f"was left locked by {left}" in answer.err
    assert not (tmp_path / LOCK).exists()


def test_e09_gpu_that_is_not_there(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused with what there is."""
    answer = refusal_of(capsys, tmp_path, "train", config, "--training.device", "cuda:99")
    assert answer.code == 5
    assert_says(answer.err, ["--training.device: cuda:99 is not on this machine; found cpu"])


def test_e10_precision_that_the_device_lacks(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The device is named, with what it computes in instead."""
    answer = answer_of(capsys, "train", config, "--training.precision", "fp16", "--training.device", "cpu")
    assert answer.code == 0, answer.err
    assert "fp16 needs a CUDA GPU; on this cpu the run uses " in answer.err


def test_e11_too_little_memory(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Memory of the processor is estimated before the first step: refused where nothing helps, else warned of."""
    monkeypatch.setattr(memory, "system_memory", lambda: SystemMemory(2 * 10**9, 1000, 0, False))
    for command in ("train", "plan"):
        answer = answer_of(capsys, command, config, "--training.device", "cpu")
        assert answer.code == 5
        assert_says(answer.out + answer.err, ["memory: the weights of", "that this machine has are free", "fix: "])
    monkeypatch.setattr(memory, "system_memory", lambda: SystemMemory(2 * 10**9, 60_000_000, 0, True))
    answer = answer_of(capsys, "train", config)
    assert answer.code == 0
    assert_says(answer.err, ["\nmemory ", "without enough the system ends the run", "training.batch_size: 8 with"])


def test_e15_caches_that_cannot_be_written(tmp_path: Path, tiny_model: Path, reviews: Path) -> None:
    """The cache is named, and the variable that moves it, for models and for data."""
    (tmp_path / "file").write_text("no folder")
    with LocalHub(tmp_path / "hub") as hub:
        hub.add_model("someone/model", tiny_model)
        hub.add_dataset("someone/reviews", reviews)
        for kind, name in (("model", "someone/model"), ("dataset", "someone/reviews")):
            found = run_outcomes(hub, tmp_path / "file", kind, {"one": [name]})["one"]
            assert (found.get("error"), found["exit_code"]) == ("MachineError", 5), found
            assert str(tmp_path / "file") in found["what"]
            assert "set HF_HOME" in found["fix"]


def test_e17_libraries_below_the_floor(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line each, before any of them is loaded."""
    versions = {"torch": "2.1.0", "transformers": "4.40.1"}
    lines = ['torch<3,>=2.10; extra == "train"', 'transformers<6,>=5.23; extra == "train"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda package: lines)
    monkeypatch.setattr(importlib.metadata, "version", versions.__getitem__)
    answer = refusal_of(capsys, tmp_path, "train", config)
    assert answer.code == 5
    assert_says(
        answer.err,
        [
            "torch: version 2.1.0 is installed, 2.10 or newer is wanted",
            "transformers: version 4.40.1 is installed, 5.23 or newer is wanted",
            "fix: pip install --upgrade 'transformers>=5.23'",
        ],
    )


ODD_NAME = 'a b it\'s "quoted" 😀 é 100%20 #?&x='
FEW_FILES = 128


def test_e18_e19_few_open_files_in_an_odd_folder(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A training needs fewer than 128 files at once; model, store and lock may lie in any folder, and be used there."""
    # MLflow itself cannot begin a store in a working folder with an apostrophe.
    folder = tmp_path / ODD_NAME.replace("'", "").ljust(240, "y")
    folder.mkdir()
    shutil.copy(config, folder)
    monkeypatch.chdir(folder)
    program = (
        f"import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({FEW_FILES}, {FEW_FILES})); "
        "from forgeml.cli.main import run; sys.exit(run(['train', '--output_dir', sys.argv[1], '--json']))"
    )
    answer = run(sys.executable, "-c", program, f"out {ODD_NAME}")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["model_id"], answer.stderr
    assert sorted(os.listdir()) == sorted([FILE, "mlflow.db", "mlruns", f"out {ODD_NAME}"])
    assert os.listdir(f"out {ODD_NAME}") == ["best_model"]
    found = answer_of(capsys, "predict", f"out {ODD_NAME}/best_model", "a good film", "--json")
    assert found.code == 0, found.err


def test_e20_folder_that_goes_during_the_training(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """The run stops at its next write with the reason, and makes no new folder in the old one's place."""
    (tmp_path / "out").mkdir()
    store = {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}
    config = Config.model_validate(
        {**tiny_settings, "mlflow": store, "output_dir": str(tmp_path / "out"), "logging": {"eval_interval": 6}}
    )

    def take_away(event: Event) -> None:
        if isinstance(event, StepReport) and event.step == 10:
            (tmp_path / "out").rename(tmp_path / "elsewhere")

    with pytest.raises(MachineError, match="was moved or removed during the run") as caught:
        train(config, take_away)
    assert caught.value.problems[0].where == str(tmp_path / "out")
    assert not (tmp_path / "out").exists()
