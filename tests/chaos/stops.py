"""R4: SIGTERM and SIGINT at any instant; the run ends soon, with the code of the signal, and goes on from where it was."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from chaos.figures import Figure
from chaos.trainings import LONGEST_S, Materials, Training, kill

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


def stops(folder: Path, runs: int, seed: int = 0) -> Figure:
    """Stop every run once, at a random instant of its whole course, and let it go on."""
    chance = random.Random(seed)
    figure = Figure("signals", "runs ended with the signal's code and went on to the weights of an undisturbed one")
    materials = Materials.write(folder, rows=320, epochs=4)
    whole = Training(materials, folder / "whole")
    started = time.monotonic()
    assert whole.finish() == 0, whole.log.read_text()[-3000:]
    seconds = time.monotonic() - started
    for number in range(runs):
        run, sent = Training(materials, folder / f"run-{number}"), chance.choice(list(CODES))
        process = run.start()
        # The handlers are in place as soon as the command line runs.
        process.join(chance.uniform(0.05, seconds))
        kill(process, sent)
        figure.count(_failure(run, whole, run.join(process), CODES[sent]))
    return figure


def stops_during_imports(folder: Path, runs: int) -> Figure:
    """The same of whole processes, in the seconds in which the libraries are loaded."""
    figure = Figure("signals during the imports", "processes ended with the signal's code and without a traceback")
    materials = Materials.write(folder, rows=320, epochs=4)
    training = Training(materials, folder / "run")
    training.join(training.start())
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    for number in range(runs):
        command = [sys.executable, "-m", "forgeml", "train", str(training.folder.with_suffix(".yaml"))]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
        sent = list(CODES)[number % 2]
        # Whoever prints has handlers already.
        said = process.stdout.readline() if process.stdout else ""
        time.sleep(2.5 * number / runs)
        process.send_signal(sent)
        rest, _ = process.communicate(timeout=LONGEST_S)
        good = process.returncode == CODES[sent] and "Traceback" not in rest and "a bug" not in rest
        figure.count("" if good else f"ended with {process.returncode}: {said}{rest[-1500:]}")
    return figure


def _failure(run: Training, whole: Training, code: int, wanted: int) -> str:
    # It may have been through before the signal came.
    if code not in (0, wanted):
        return f"{run.folder.name} ended with {code}: {run.log.read_text()[-1500:]}"
    if code and "the same command goes on" not in " ".join(run.log.read_text().split()):
        return f"{run.folder.name} does not say how it goes on: {run.log.read_text()[-1500:]}"
    if code and run.finish() != 0:
        return f"{run.folder.name} did not go on: {run.log.read_text()[-1500:]}"
    if run.result() != whole.result():
        return f"{run.folder.name} has other weights"
    return run.complaints()
