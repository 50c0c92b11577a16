"""SIGTERM and SIGINT at any instant: the run ends soon, with the code of the signal, and goes on from where it was."""

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

IMPORTS_S = 4.0
"""That loading the libraries takes about."""
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


def stops(folder: Path, numbers: range) -> Figure:
    """Stop every run once, at a random instant of its whole course, and let it go on."""
    figure = Figure("signals", "runs ended with the signal's code and went on to the weights of an undisturbed one")
    materials = Materials.write(folder, rows=320, epochs=4)
    whole = Training(materials, folder / "whole")
    seconds = whole.undisturbed()
    for number in numbers:
        chance = random.Random(number)
        run, sent = Training(materials, folder / f"run-{number}"), chance.choice(list(CODES))
        process = run.start()
        # The handlers are in place as soon as the command line runs.
        process.join(chance.uniform(0.05, seconds))
        kill(process, sent)
        figure.count(_failure(run, whole, run.join(process), CODES[sent]))
    return figure


def stops_during_imports(folder: Path, numbers: range) -> Figure:
    """The same of whole processes, in the seconds in which the libraries are loaded."""
    figure = Figure("signals during the imports", "processes ended with the signal's code and without a traceback")
    materials = Materials.write(folder, rows=320, epochs=4)
    training = Training(materials, folder / "run")
    training.undisturbed()
    environment = {**os.environ, "COLUMNS": "200"}
    for number in numbers:
        command = [sys.executable, "-m", "forgeml", "train", str(training.folder.with_suffix(".yaml"))]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, text=True, env=environment, **pipes)
        sent = list(CODES)[number // 2 % 2]
        # Whoever prints has handlers already.
        said = process.stdout.readline() if process.stdout else ""
        time.sleep(IMPORTS_S * random.Random(number).random())
        process.send_signal(sent)
        rest, _ = process.communicate(timeout=LONGEST_S)
        good = process.returncode == CODES[sent] and "Traceback" not in rest and "a bug" not in rest
        figure.count("" if good else f"ended with {process.returncode}: {said}{rest[-1500:]}")
    return figure


def _failure(run: Training, whole: Training, code: int, wanted: int) -> str:
    # It may have been through before the signal came.
    if code not in (0, wanted):
        return f"{run.folder.name} ended with {code}: {run.log.read_text()[-1500:]}"
    if code and "to go on: forgeml train" not in " ".join(run.log.read_text().split()):
        return f"{run.folder.name} does not say how it goes on: {run.log.read_text()[-1500:]}"
    if code and run.finish() != 0:
        return f"{run.folder.name} did not go on: {run.log.read_text()[-1500:]}"
    if run.result() != whole.result():
        return f"{run.folder.name} has other weights"
    return run.complaints()
