"""Plays what can go wrong between here and the hub: a hub that can be spoilt, one user's cache, and `forgeml train`."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from forgeml.hub.blobs import check_cache
from local_hub import Answer, LocalHub
from tiny import write_imdb_like_dataset, write_tiny_bert

TOKEN = "hf_" + "PlantedTokenThatNobodyMayEverSee"
PASSWORD = "planted-password-of-the-hub"

KNOWN, REVIEWS = "someone/known", "someone/reviews"
"""A model and a data set that are in the cache before the first case."""
ROWS = "plain_text/train-00000-of-00001.parquet"

DRIVER = """
import contextlib, io, json, os, socket, sys, time
hurried = sys.argv[1] == "hurried"

strangers, asking, connecting = [], socket.getaddrinfo, socket.socket.connect
names = {"way": "works"}

def getaddrinfo(host, *arguments, **options):
    if host in ("127.0.0.1", "localhost", None):
        if names["way"] == "fails":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if names["way"] == "hangs":
            time.sleep(60)
        return asking(host, *arguments, **options)
    strangers.append(str(host))
    raise socket.gaierror(socket.EAI_NONAME, "not to be asked for")

def connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1"):
        strangers.append(str(address))
        raise ConnectionRefusedError("not to be reached")
    return connecting(self, address)

socket.getaddrinfo, socket.socket.connect = getaddrinfo, connect

import forgeml
from forgeml.cli.main import run
from forgeml.hub import patience
from forgeml.training.tracking import tracker
import datasets
import huggingface_hub

if hurried:
    # A copy of each model in MLflow's store is half of the time.
    tracker.Tracker.log_model = lambda *arguments: None
    patience.QUICK, patience.PATIENCE, patience.SILENCE, patience.PAUSES = 0.4, 1.5, 0.4, (0.05, 0.1)

# The library keeps what has come of a file in pieces of this size, which is more than the whole file here.
huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 10_000

for line in sys.stdin:
    case = json.loads(line)
    os.makedirs(case["folder"])
    os.chdir(case["folder"])
    names["way"] = case["names"]
    huggingface_hub.constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = case["offline"]
    out, err, started = io.StringIO(), io.StringIO(), time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(["train", case["config"], *case["flags"]])
    seconds = time.monotonic() - started
    answer = {"code": code, "out": out.getvalue(), "err": err.getvalue(), "seconds": seconds, "strangers": strangers}
    print(json.dumps(answer), flush=True)
"""


class Stage(LocalHub):
    """A hub of models and a data set, one user's cache, and the ways to spoil either."""

    def __init__(self, root: Path) -> None:
        """Publish nothing yet; everything that is written lies below `root`."""
        super().__init__(root / "served")
        self.root, self.home = root, root / "home"
        self.files = write_tiny_bert(root / "model")
        self.rows = write_imdb_like_dataset(root / "reviews", rows=60, test_rows=20)
        self.weights = (self.files / "model.safetensors").read_bytes()
        self.data: set[str] = set()
        """Names of the data sets."""
        self.then: dict[str, Callable[[], object]] = {}
        """What happens, once, after a request of which this is a part was answered."""
        self._blocking: list[socket.socket] = []

    def answer(self, method: str, target: str, form: Mapping[str, list[str]]) -> Answer:
        """The reply to a request, after which something may happen."""
        reply = super().answer(method, target, form)
        for part in [part for part in self.then if part in f"{method} {target}"]:
            self.then.pop(part)()
        return reply

    def publish(self, name: str, kind: str) -> None:
        """Put the model or the data set on the hub under a name."""
        if kind == "data":
            self.data.add(name)
            self.add_dataset(name, self.rows)
        else:
            self.add_model(name, self.files)

    def file(self, name: str) -> str:
        """Path of a model's weights, or of a data set's training rows."""
        if name in self.data:
            return f"/datasets/{name}/resolve/{self.commit('datasets', name)}/{ROWS}"
        return f"/{name}/resolve/{self.commit('models', name)}/model.safetensors"

    def content(self, name: str) -> bytes:
        """What is in that file."""
        return (self.rows / ROWS).read_bytes() if name in self.data else self.weights

    def head(self, name: str, etag: str) -> dict[str, str]:
        """What is said of that file, with another hash."""
        commit = self.commit("models", name)
        return {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Content-Length": str(len(self.weights))}

    def cached(self, name: str) -> Path:
        """A model's weights in the cache."""
        folder = self.home / "hub" / f"models--{name.replace('/', '--')}" / "snapshots"
        return folder / self.commit("models", name) / "model.safetensors"

    def swallow(self) -> None:
        """Let nobody's connection through, as a router does that drops what it does not know."""
        self.down()
        listening = socket.create_server(("127.0.0.1", self.port), backlog=0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            # They fill the queue; the system does not answer whoever comes after them.
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", self.port))
        self._blocking = [*waiting, listening]

    def mend(self) -> None:
        """Let the hub be well again."""
        for one in self._blocking:
            one.close()
        self._blocking = []
        self.faults.clear()
        self.hiccups.clear()
        self.then.clear()
        # Whoever still waits is let go; whoever comes waits anew.
        self.over.set()
        self.over = threading.Event()
        self.up()


Spoil = Callable[[Stage, str], object]
"""Is given the name of what is the case's own, or else of the cached model."""


@dataclass(frozen=True)
class HubFault:
    """Something that goes wrong, and what `forgeml train` has to make of it."""

    code: int
    """That it exits with."""
    words: tuple[str, ...]
    """Of what it says, in whichever order; `{name}` stands for what is the case's own."""
    spoil: Spoil = lambda stage, name: None
    own: Literal["", "model", "data"] = ""
    """What is of the case's own, and new to the cache; the rest is cached."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """From the command line; `{model_commit}` and `{data_commit}` stand for those that are cached."""
    names: str = "works"
    """How names are looked up: `works`, `fails` or `hangs`."""
    offline: bool = False
    requests: int | None = None
    """How many the hub gets; None: any number."""
    holds: Callable[[Stage, str], object] = lambda stage, name: True
    """Has to be true afterwards."""


@dataclass(frozen=True)
class Outcome:
    """What came of a case."""

    name: str
    code: int
    said: str
    seconds: float
    complaints: tuple[str, ...]
    """What is not as it has to be."""


class Player:
    """Plays cases on a stage, in processes that know no hub but that one."""

    def __init__(self, root: Path, *, hurried: bool) -> None:
        """Prepare nothing yet.

        Args:
            root: where everything is written.
            hurried: play all cases in one process, with short time limits.
        """
        self.root, self.hurried = root, hurried
        self.stage = Stage(root)
        self._process: subprocess.Popen[str] | None = None
        self._played = 0

    def __enter__(self) -> Self:
        """Open the hub, and put a model and a data set into the cache."""
        self.stage.up()
        self.stage.publish(KNOWN, "model")
        self.stage.publish(REVIEWS, "data")
        for folder in ("tmp", "user", "runs"):
            (self.root / folder).mkdir()
        fetched = self._answer(HubFault(0, ()), KNOWN)
        assert fetched["code"] == 0, fetched["err"]
        shutil.copytree(self.stage.home, self.root / "cached", symlinks=True)
        return self

    def __exit__(self, *error: object) -> None:
        """Close the hub, and end the process."""
        self._leave()
        self.stage.mend()
        self.stage.down()

    def play(self, name: str, case: HubFault) -> Outcome:
        """Let the hub go wrong and train; then all is mended, and the cache is as before."""
        stage, own = self.stage, f"someone/{name.lower()}" if case.own else KNOWN
        shutil.rmtree(stage.home)
        shutil.copytree(self.root / "cached", stage.home, symlinks=True)
        if case.own:
            stage.publish(own, case.own)
        if not self.hurried:
            self._leave()
            self._enter()
        case.spoil(stage, own)
        before = len(stage.requests)
        answer = self._answer(case, own)
        complaints = [*_complaints(case, answer, own), *self._left(case, own, len(stage.requests) - before)]
        stage.mend()
        return Outcome(name, answer["code"], answer["err"], answer["seconds"], tuple(complaints))

    def _left(self, case: HubFault, own: str, requests: int) -> Iterator[str]:
        """What is wrong with what the case has left behind."""
        if case.requests not in (None, requests):
            yield f"{requests} requests instead of {case.requests}"
        if not case.holds(self.stage, own):
            yield "what has to be true afterwards is not"
        yield from (
            f"damaged in the cache: {blob.path}" for blob in check_cache(self.stage.home / "hub") if blob.sound is False
        )
        yield from (f"a secret is in {file}" for file in files_with((TOKEN, PASSWORD), self.root))

    def _answer(self, case: HubFault, own: str) -> dict[str, Any]:
        """What the program says in a folder of its own."""
        self._played += 1
        settings = {
            "model.name": own if case.own != "data" else KNOWN,
            "data.dataset": own if case.own == "data" else REVIEWS,
            "mlflow.tracking_uri": f"sqlite:///{self.root}/mlflow.db",
            **case.settings,
        }
        commits = {
            "model_commit": self.stage.commit("models", KNOWN),
            "data_commit": self.stage.commit("datasets", REVIEWS),
        }
        line = {
            "folder": str(self.root / "runs" / str(self._played)),
            "config": str(self._config()),
            "flags": [word for name, value in settings.items() for word in (f"--{name}", value.format(**commits))],
            "names": case.names,
            "offline": case.offline,
        }
        process = self._process or self._enter()
        assert process.stdin
        assert process.stdout
        # Whatever waits for ever is a failure.
        guard = threading.Timer(120, process.kill)
        guard.start()
        try:
            process.stdin.write(json.dumps(line) + "\n")
            process.stdin.flush()
            said = process.stdout.readline()
        finally:
            guard.cancel()
        if not said:
            return {"code": -1, "out": "", "err": self._log().read_text(), "seconds": 120.0, "strangers": []}
        return dict(json.loads(said))

    def _config(self) -> Path:
        """A configuration that learns something in a moment."""
        path = self.root / "config.yaml"
        training = {"num_epochs": 1, "batch_size": 16, "device": "cpu", "precision": "fp32"}
        model, data = {"name": KNOWN, "max_length": 32}, {"dataset": REVIEWS}
        path.write_text(json.dumps({"model": model, "data": data, "training": training}))
        return path

    def _enter(self) -> subprocess.Popen[str]:
        hub = self.stage.environment(self.stage.home)
        address = self.stage.endpoint.replace("://", f"://someone:{PASSWORD}@")
        places = {
            "HOME": str(self.root / "user"),
            "TMPDIR": str(self.root / "tmp"),
            "XDG_CACHE_HOME": str(self.root / "user"),
        }
        environment = {**os.environ, **hub, **places, "HF_ENDPOINT": address, "HF_TOKEN": TOKEN}
        way = "hurried" if self.hurried else "patient"
        with self._log().open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", DRIVER, way],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self._process

    def _leave(self) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()
        self._process = None

    def _log(self) -> Path:
        return self.root / "process.log"


def _complaints(case: HubFault, answer: Mapping[str, Any], own: str) -> Iterator[str]:
    """What is wrong with what was said."""
    said = " ".join(answer["err"].split())
    if answer["code"] != case.code:
        yield f"exit code {answer['code']} instead of {case.code}"
    yield from (f"it does not say: {words}" for words in case.words if words.format(name=own) not in said)
    if case.code and "fix: " not in said:
        yield "no fix"
    yield from (
        f"it says: {words}" for words in ("Traceback", "a bug", TOKEN, PASSWORD) if words in said + answer["out"]
    )
    yield from (f"it asked a stranger: {host}" for host in answer["strangers"])


def files_with(secrets: Sequence[str], folder: Path) -> list[Path]:
    """The files below a folder in which one of these texts stands."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [file for file in files if any(secret.encode() in file.read_bytes() for secret in secrets)]
