"""Small trainings as processes of their own, to be disturbed."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tiny import write_reviews, write_tiny_bert
from tracked import new_store

STORE = "mlflow.store.tracking.sqlalchemy_store"
PRELOADED = ["forgeml.cli.main", "forgeml.training.train", "forgeml.cli.console", "sklearn.metrics", STORE]
"""What every training imports: done once, as it takes longer than the training."""
WHERE = {"device": "cpu", "precision": "fp32"}
STORE_FILE = "mlflow.db"
LONGEST_S = 120.0
"""After which a training that does not end has failed."""
Sabotage = Callable[[], None]

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(PRELOADED)


@dataclass(frozen=True)
class Materials:
    """A model and data that many trainings share."""

    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def write(cls, folder: Path, rows: int = 480, epochs: int = 4) -> Materials:
        """A tiny model with dropout, made-up reviews, and an empty store; checkpoints come between evaluations too."""
        new_store(folder, STORE_FILE)
        settings = {
            "model": {"name": str(write_tiny_bert(folder / "model")), "max_length": 32},
            "data": {"dataset": str(write_reviews(folder / "reviews", rows=rows))},
            "training": {"batch_size": 16, "learning_rate": 1e-3, "num_epochs": epochs, **WHERE},
            "logging": {"save_interval": 10, "eval_interval": 35},
        }
        return cls(folder, settings)


@dataclass
class Training:
    """One output folder, and the processes that train into it one after the other."""

    materials: Materials
    folder: Path
    sabotage: Sabotage | None = None
    arguments: tuple[str, ...] = ()
    codes: list[int] = field(default_factory=list)
    """Exit codes of those that have ended; -9 is a kill."""

    @property
    def log(self) -> Path:
        """What all of them have said."""
        return self.folder.with_suffix(".log")

    @property
    def weights(self) -> Path:
        """Of the finished model."""
        return self.folder / "best_model" / "model.safetensors"

    def start(self) -> ForkServerProcess:
        """Give the command once more, always the same."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / STORE_FILE).exists():
            # To make one anew takes as long as the training.
            shutil.copy(self.materials.folder / STORE_FILE, self.folder)
        config = self.folder.with_suffix(".yaml")
        store = {"tracking_uri": f"sqlite:///{self.folder}/{STORE_FILE}"}
        config.write_text(json.dumps({"mlflow": store, **self.materials.settings, "output_dir": str(self.folder)}))
        command = ["train", str(config), *self.arguments]
        process = _SERVER.Process(target=_run, args=(command, str(self.log), self.sabotage))
        process.start()
        return process

    def join(self, process: ForkServerProcess) -> int:
        """Wait for the end; the exit code."""
        process.join(LONGEST_S)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise AssertionError(f"a training did not end within {LONGEST_S:g} s: {self.log.read_text()[-2000:]}")
        self.codes.append(process.exitcode)
        return process.exitcode

    def finish(self) -> int:
        """Run the command to its end."""
        return self.join(self.start())

    def undisturbed(self) -> float:
        """Run the command to a good end; the seconds that it took."""
        started = time.monotonic()
        assert self.finish() == 0, self.log.read_text()[-3000:]
        return time.monotonic() - started

    def result(self) -> str:
        """SHA-256 of the finished weights."""
        return hashlib.sha256(self.weights.read_bytes()).hexdigest()

    def complaints(self) -> str:
        """What no one should ever see, if it was said."""
        said = self.log.read_text()
        return said[-3000:] if "Traceback" in said or "a bug:" in said else ""


def kill(process: ForkServerProcess, number: int = signal.SIGKILL) -> None:
    """Send a signal, unless the process has ended by itself."""
    if process.pid is not None and process.exitcode is None:
        os.kill(process.pid, number)


def _run(command: list[str], log: str, sabotage: Sabotage | None) -> None:
    """Be the command: in its output, its handlers of signals, and its exit code."""
    from forgeml.cli.main import main

    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(file, stream.fileno())
    if sabotage:
        sabotage()
    main(command)
