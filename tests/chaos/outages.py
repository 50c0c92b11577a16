"""A tracking server that fails during a training: the training does not care, and nothing that it told is lost."""

from __future__ import annotations

import contextlib
import io
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaos.figures import Figure
from chaos.trainings import Materials, Training
from forgeml.cli.main import run as forgeml
from proxy import WAYS, Proxy, before
from servers import mlflow_command
from tracked import MEASURED, new_store, stored

Told = tuple[str, list[tuple[str, int, float]]]
"""How a run ended, and its figures."""


def outages(folder: Path, numbers: range) -> Figure:
    """Let the server fail in each of its ways, from some instant on, for some time or to the end."""
    what = "trainings went on while the server failed, and it had all that they told in the end"
    figure = Figure("tracking server", what)
    store = new_store(folder, "server.db")
    places = ("--backend-store-uri", store, "--artifacts-destination", str(folder / "files"))
    with mlflow_command("server", "--workers", "1", *places, health="/health", folder=folder) as server:
        materials = _with_server(Materials.write(folder, rows=320, epochs=2), server)
        whole = Training(materials, folder / "whole")
        seconds = whole.undisturbed()
        wanted = _told(store)["whole"]
        for number in numbers:
            with before(server) as proxy:
                run = Training(_with_server(materials, proxy.address), folder / f"run-{number}", _hurry)
                _disturb(run, proxy, random.Random(number), WAYS[number % len(WAYS)], seconds)
                figure.count(_failure(run, whole, wanted, store))
    return figure


def _with_server(materials: Materials, address: str) -> Materials:
    return Materials(materials.folder, {**materials.settings, "mlflow": {"tracking_uri": address}})


def _disturb(run: Training, proxy: Proxy, chance: random.Random, way: str, seconds: float) -> None:
    process = run.start()
    process.join(chance.uniform(0, 0.8) * seconds)
    proxy.way = way
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0, 0.5) * seconds)
        proxy.way = ""
    run.join(process)
    proxy.way = ""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        forgeml(["sync", str(run.folder)])


def _failure(run: Training, whole: Training, wanted: Told, store: str) -> str:
    if run.codes != [0] or run.result() != whole.result():
        return f"{run.folder.name} ended with {run.codes}: {run.log.read_text()[-1500:]}"
    told = _told(store).get(run.folder.name)
    if told != wanted:
        return f"{run.folder.name} has {told} in the store, not {wanted}: {run.log.read_text()[-1500:]}"
    if (run.folder / "tracking").exists():
        return f"{run.folder.name} left its journal though all was sent"
    return run.complaints()


def _told(store: str) -> Mapping[str, Told]:
    """What each run of the store has, by the name of its folder."""
    return {
        Path(found.params["output_dir"]).name: (
            found.status,
            [(name, step, value) for name, step, value, _ in found.figures if name != MEASURED],
        )
        for found in stored(store).values()
        if "output_dir" in found.params
    }


def _hurry() -> None:
    """Let MLflow give up after a second instead of ten, and the end of the run wait no longer."""
    import os

    from forgeml.training.tracking import run

    hurried: dict[str, Any] = {"OPENING_S": 1.0, "LAST_IN_DOUBT_S": 1.0}
    for name, seconds in hurried.items():
        setattr(run, name, seconds)
    os.environ |= {"MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
