"""One training as a process of its own, from its start to its figures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from training.job import RESULT, Job
from training.plans import CONTENDERS
from training.stopwatch import busy_seconds

BENCHMARKS = Path(__file__).resolve().parents[1]
THREADS_SET_BY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
"""Variables that libraries read when they are loaded; the last one is for tokenizers."""
GIVEN = dict(os.environ)
"""As this process was given it: what ForgeML sets when it is imported is not for the others."""
NEEDED = {"fasttext": "fasttext", "tfidf": "sklearn"}
LAST_WORDS = 3


def why_not(name: str) -> str | None:
    """Why a contender cannot be had here, or None where it can."""
    needed = NEEDED.get(name, "transformers")
    return None if find_spec(needed) else f"there is no package {needed}"


def measure(job: Job) -> dict[str, Any]:
    """What one training tells of itself. Its folder, where nothing is cached from another one, is removed after.

    Raises:
        RuntimeError: it failed.
    """
    folder = Path(job.folder)
    folder.mkdir(parents=True)
    try:
        file = replace(job, launched=time.monotonic(), busy=busy_seconds()).write()
        run(f"training.{CONTENDERS[job.contender].program}", [str(file)], job.threads, folder)
        found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return found
    finally:
        shutil.rmtree(folder)


def run(module: str, arguments: Sequence[str], threads: int, cache: Path) -> None:
    """Run a module of this package to its end.

    Raises:
        RuntimeError: it failed; with its last words.
    """
    path = os.pathsep.join(filter(None, [str(BENCHMARKS), GIVEN.get("PYTHONPATH")]))
    environment = {
        **GIVEN,
        **dict.fromkeys(THREADS_SET_BY, str(threads)),
        "PYTHONPATH": path,
        "XDG_CACHE_HOME": str(cache),
        "HF_HUB_OFFLINE": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    # -P: what is called `training` in the working folder is something else.
    command = [sys.executable, "-P", "-m", module, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-LAST_WORDS:]
        raise RuntimeError(" / ".join(last) or f"it ended with {done.returncode}, without a word")
