"""Starts a server on this machine for the length of a test."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

SECONDS_TO_START = 90


def free_port() -> int:
    """A port on the loopback address that nobody listens on."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port: int = reserved.getsockname()[1]
    return port


class FakeMlflow(ThreadingHTTPServer):
    """As much of an MLflow server as one run without files needs. It can be told to fail."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port of the loopback address."""
        super().__init__(("127.0.0.1", 0), _FakeMlflowAnswers)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.down = False
        """Answer everything with 503."""
        self.asked = 0
        """Requests so far, also those that were answered with 503."""
        self.refused_key = ""
        """Metric that is no good: a batch with it is answered with 400, as MLflow does."""
        self.metrics: list[tuple[str, int]] = []
        """Name and step of each metric that was taken."""
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.data: list[str] = []
        self.status = ""

    def answer(self, call: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """HTTP status and content for one request."""
        run = {"run_id": "r1", "run_uuid": "r1", "experiment_id": "1", "status": "RUNNING", "start_time": 1}
        if self.refused_key in [metric["key"] for metric in body.get("metrics", [])]:
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": f"no {self.refused_key} here"}
        if call == "runs/log-batch":
            self.metrics += [(metric["key"], int(metric.get("step", 0))) for metric in body.get("metrics", [])]
            self.params.update({param["key"]: param["value"] for param in body.get("params", [])})
            self.tags.update({tag["key"]: tag["value"] for tag in body.get("tags", [])})
        elif call == "runs/log-inputs":
            self.data += [one["dataset"]["name"] for one in body["datasets"]]
        elif call == "runs/update":
            self.status = body["status"]
        answers = {
            "experiments/get-by-name": {"experiment": {"experiment_id": "1", "lifecycle_stage": "active"}},
            "runs/create": {"run": {"info": run, "data": {}}},
            "runs/get": {"run": {"info": run, "data": {}}},
            "runs/update": {"run_info": run},
            "runs/log-batch": {},
            "runs/log-inputs": {},
        }
        missing = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": call}
        return (200, answers[call]) if call in answers else (404, missing)


class _FakeMlflowAnswers(BaseHTTPRequestHandler):
    server: FakeMlflow

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        call = self.path.partition("?")[0].rpartition("/mlflow/")[2]
        self.server.asked += 1
        status, content = (503, {}) if self.server.down else self.server.answer(call, body)
        answer = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        self.do_POST()

    def do_PATCH(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def fake_mlflow() -> Iterator[FakeMlflow]:
    """A server that answers like MLflow's until the block ends."""
    with FakeMlflow() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


@contextmanager
def silent_server() -> Iterator[str]:
    """Address of a server that takes a connection and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def mlflow_command(*arguments: str, health: str, folder: Path) -> Iterator[str]:
    """Run `mlflow ARGUMENTS` on a free port of the loopback address until the block ends; its address.

    Args:
        arguments: of the command; host and port are added.
        health: path that answers when the server is up.
        folder: where its log goes.
    """
    port = free_port()
    command = [sys.executable, "-m", "mlflow", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    # The command starts its web server by name, in a process of its own.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address + health, folder / "server.log")
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def _wait_for(address: str, log: Path) -> None:
    ends = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < ends:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(0.3)
        else:
            return
    pytest.fail(f"{address} did not come up in {SECONDS_TO_START} s: {log.read_text()[-2000:]}")
