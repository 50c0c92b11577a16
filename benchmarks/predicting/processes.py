"""What a whole process takes that is started for a model: memory, time to the first answer, time for a file."""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from forgeml.records import ListedTexts
from predicting.contenders import BATCH, BATCHED, PIPELINE
from predicting.texts import of_median_length, picked

MEMORY_TEXTS = 256
FILE_ROUNDS = 3

# What `resource` tells would count the process that started this one.
PEAK = """
import re
try:
    print(1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]))
except OSError:
    import resource, sys
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""
ENGINE = "from forgeml import Classifier; answer = Classifier.from_pretrained({folder!r}, 'cpu', {name!r}).predict"
PIPE = """
from transformers import pipeline
pipe = pipeline("text-classification", model={folder!r}, device="cpu")
def answer(firsts, seconds=None):
    asked = firsts if seconds is None else [{{"text": a, "text_pair": b}} for a, b in zip(firsts, seconds)]
    return pipe(asked, batch_size={batch}, truncation=True, max_length={max_length})
"""
FILE_BY_PIPE = """
import csv
with open({source!r}, encoding="utf-8", newline="") as lines:
    rows = list(csv.reader(lines))[1:]
told = answer([row[0] for row in rows], [row[1] for row in rows] if {pairs} else None)
with open({target!r}, "w", encoding="utf-8", newline="") as lines:
    csv.writer(lines).writerows([*row, one["label"], one["score"]] for row, one in zip(rows, told))
"""

Say = Callable[[str], None]


class Processes:
    """Starts programs that open one model, each in a process of its own."""

    def __init__(self, folder: Path, max_length: int, say: Say) -> None:
        """Hold what all of them need."""
        self._folder, self._max_length, self._say = str(folder), max_length, say

    def peaks(self, names: Sequence[str], texts: ListedTexts, work: Path) -> dict[str, int]:
        """Bytes of memory at the most while some texts are answered."""
        some = picked(texts, range(min(MEMORY_TEXTS, len(texts))))
        listed = work / "texts.json"
        listed.write_text(json.dumps([some.firsts, some.seconds]), encoding="utf-8")
        read = f"import json; answer(*json.load(open({str(listed)!r})))"
        found = {}
        for name in names:
            self._say(f"memory of {name}")
            told = self._run(name, f"{self._opening(name)}\n{read}\n{PEAK}")
            if told is not None:
                found[name] = int(told.split()[-1])
        return found

    def starts(self, names: Sequence[str], texts: ListedTexts, rounds: int) -> dict[str, Any]:
        """Seconds from the start of the process to the first answer, in turn."""
        one = of_median_length(texts)
        seconds = "" if one.seconds is None else f", {one.seconds!a}"
        codes = {name: f"{self._opening(name)}\nanswer({one.firsts!a}{seconds})" for name in names}
        return self._in_turn({name: lambda name=name: self._run(name, codes[name]) for name in names}, rounds, "start")

    def files(self, names: Sequence[str], texts: ListedTexts, columns: Sequence[str], work: Path) -> dict[str, Any]:
        """Seconds to score a file: `forgeml predict` as a whole process, and a program with the pipeline."""
        source = work / "texts.csv"
        rows = zip(texts.firsts, texts.seconds, strict=True) if texts.seconds else ([text] for text in texts.firsts)
        with source.open("w", encoding="utf-8", newline="") as lines:
            csv.writer(lines).writerows([columns, *rows])
        asked = {name: lambda name=name: self._file(name, source, texts.pairs) for name in names if name != PIPELINE}
        return {"rows": len(texts), "of": self._in_turn(asked, FILE_ROUNDS, "file")}

    def _file(self, name: str, source: Path, pairs: bool) -> str | None:
        target = source.with_name("scored.csv")
        target.unlink(missing_ok=True)
        if name == BATCHED:
            code = FILE_BY_PIPE.format(source=str(source), target=str(target), pairs=pairs)
            return self._run(name, f"{self._opening(name)}\n{code}")
        command = ["predict", self._folder, str(source), "-o", str(target), "--engine", name, "--device", "cpu"]
        return self._start(name, [sys.executable, "-m", "forgeml", *command])

    def _in_turn(self, asked: Mapping[str, Callable[[], str | None]], rounds: int, what: str) -> dict[str, Any]:
        took: dict[str, list[float]] = {name: [] for name in asked}
        for turn in range(rounds):
            for name in list(asked)[:: -1 if turn % 2 else 1]:
                self._say(f"{what} of {name}, round {turn + 1} of {rounds}")
                started = time.perf_counter()
                if asked[name]() is not None:
                    took[name].append(time.perf_counter() - started)
        return {
            name: {"median": statistics.median(some), "min": min(some), "max": max(some), "rounds": some}
            for name, some in took.items()
            if some
        }

    def _opening(self, name: str) -> str:
        if name in (PIPELINE, BATCHED):
            batch = BATCH if name == BATCHED else 1
            return PIPE.format(folder=self._folder, batch=batch, max_length=self._max_length)
        return ENGINE.format(folder=self._folder, name=name)

    def _run(self, name: str, code: str) -> str | None:
        return self._start(name, [sys.executable, "-c", code])

    def _start(self, name: str, command: Sequence[str]) -> str | None:
        """What the process prints; None, and a word on it, if it fails."""
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            self._say(f"{name} failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}")
            return None
        return done.stdout


def scores_files() -> bool:
    """Whether this ForgeML has `forgeml predict MODEL FILE -o OUT --engine NAME`."""
    command = [sys.executable, "-m", "forgeml", "predict", "--help"]
    told = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}).stdout
    return all(option in told for option in ("--output", "--engine"))
