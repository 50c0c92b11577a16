"""Runs `forgeml serve` for the length of a test, and sees that it is well after whatever it was sent."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from forgeml.inference.classifier import Classifier
from small_application import Responses, connected, request

GOOD = "A lovely film."
MARK = "xyzzy"
"""Stands in the texts and keys that are sent, and never in the log."""
ENGINE = "onnx-fp32"
"""Starts without torch, and so at once."""
JSON = "Content-Type: application/json\r\n"
SECONDS_TO_START = 90
SECONDS_TO_STOP = 30
LABELS = re.compile(r'(\w+)="([^"]*)"')


class Reply(NamedTuple):
    """A response; the status is 0 where the connection was closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Running:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], log: Path, port: int, key: str) -> None:
        """Keep what `running` has started."""
        self.process, self.log, self.port = process, log, port
        self._authorization = f"Authorization: Bearer {key}\r\n" if key else ""
        self.good: dict[str, float] = {}
        """The scores of the good text."""

    def send(self, data: bytes) -> Reply:
        """The one response to these bytes, on a connection of their own."""
        with connected(self.port, 60) as connection:
            connection.sendall(data)
            return Reply(*Responses(connection).next())

    def get(self, path: str, headers: str = "") -> Reply:
        """The response to GET."""
        return self.send(request(path, headers=headers + self._authorization))

    def post(self, path: str, body: bytes | Any, headers: str = JSON) -> Reply:
        """The response to POST; what is not bytes is sent as JSON."""
        return self.send(posted(path, body, headers + self._authorization))

    def said(self) -> list[dict[str, Any]]:
        """The lines of the log up to now, each of which has to be JSON."""
        # The log is written beside the requests; this one comes after all that were sent before.
        name = uuid.uuid4().hex
        assert self.get("/healthz", f"X-Request-ID: {name}\r\n").status == 200
        until(lambda: name in self.log.read_text(encoding="utf-8"), 20)
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def counts(self) -> dict[str, float]:
        """The lines of /metrics: what is counted, with its labels, and how much."""
        lines = self.get("/metrics").body.decode().splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
        return {name: float(value) for name, value in pairs}

    def memory(self) -> int:
        """Bytes of memory that the process holds."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def files(self) -> int:
        """Files and connections that the process has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def threads(self) -> int:
        """Threads of the process."""
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def check(self, errors: Collection[str] = ()) -> None:
        """See that the server lives, answers as before, has failed nobody, and has nothing in its log to be sorry for.

        Args:
            errors: events that may be in the log as errors.
        """
        assert self.process.poll() is None
        assert self.post("/predict", {"text": GOOD}).json["scores"] == pytest.approx(self.good, abs=1e-4)
        failed = [name for name in self.counts() if "requests_total" in name and re.search(r'status="5(?!03)', name)]
        assert not failed
        said = self.said()
        assert MARK not in str(said)
        told = [line for line in said if line["level"] not in ("info", "warning")]
        assert [line for line in told if line["event"] not in errors or "Traceback" in str(line)] == []

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS_TO_STOP)


def posted(path: str, body: bytes | Any, headers: str = JSON) -> bytes:
    """A POST request as bytes; what is not bytes is sent as JSON."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request(path, "POST", headers if sent else f"{headers}Content-Length: 0\r\n", sent)


def command(folder: Path, *options: str) -> list[str]:
    """The command line of a server on any free port."""
    common = ["--port", "0", "--log", "json", "--engine", ENGINE]
    return [sys.executable, "-m", "forgeml", "serve", str(folder), *common, *options]


@contextmanager
def running(
    folder: Path, *options: str, key: str = "", environment: Mapping[str, str] = os.environ, checked: bool = True
) -> Iterator[Running]:
    """A server of this folder, ready to answer; it is checked when the block ends, and stopped.

    Args:
        folder: of a saved model with the files of all engines.
        options: of `forgeml serve`.
        key: that its routes want.
        environment: of the process.
        checked: False for a server that the test ends itself.
    """
    environment = {**environment, **({"FORGEML_API_KEYS": key} if key else {})}
    with tempfile.NamedTemporaryFile(prefix="served-", suffix=".log") as log:
        process = subprocess.Popen(
            command(folder, "--drain-delay", "0", *options),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )
        try:
            server = _ready(process, Path(log.name), key)
            server.good = scores_of(folder)
            yield server
            if checked:
                server.check()
                assert server.stop() == 0
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@functools.cache
def scores_of(folder: Path) -> dict[str, float]:
    """What the model of a folder says of the good text, without a server."""
    return dict(Classifier.from_pretrained(folder, "cpu", ENGINE).predict([GOOD])[0].scores)


def _ready(process: subprocess.Popen[str], log: Path, key: str) -> Running:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("serving "), log.read_text(encoding="utf-8")
    server = Running(process, log, int(line.rpartition(":")[2]), key)
    until(lambda: server.get("/readyz").status == 200, SECONDS_TO_START)
    return server


def until(reached: Callable[[], bool], seconds: float) -> None:
    """Wait for something that has to come about in this time."""
    ends = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < ends
        time.sleep(0.05)


def label_values(counts: Mapping[str, float]) -> dict[str, set[str]]:
    """The values that each label of the counts has taken."""
    found: dict[str, set[str]] = {}
    for name in counts:
        for label, value in LABELS.findall(name):
            found.setdefault(label, set()).add(value)
    return found
