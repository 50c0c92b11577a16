"""Runs ForgeML as a person does: as a command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import REPOSITORY

TIMEOUT = 120


def forgeml(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `forgeml` with these arguments."""
    return run(sys.executable, "-m", "forgeml", *arguments, cwd=cwd)


def train_py(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python train.py` with these arguments."""
    return run(sys.executable, REPOSITORY / "train.py", *arguments, cwd=cwd)


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it said."""
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, check=False, cwd=cwd, env=os.environ)
