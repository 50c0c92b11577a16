"""`forgeml serve`."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from command import forgeml

KEY = "a-key-of-many-characters"


@contextmanager
def _serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command on a free port, with its address."""
    command = [sys.executable, "-m", "forgeml", "serve", str(folder), "--port", "0", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    server = subprocess.Popen(command, env={**os.environ, "FORGEML_API_KEYS": ""}, **pipes)  # type: ignore[call-overload]
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        address = re.search(r"http://\S+", line)
        assert address is not None, server.communicate()
        yield server, address[0]
    finally:
        server.kill()
        server.communicate()


def _ask(address: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """Status and body of the response."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    with closing(connection):
        sent = None if body is None else json.dumps(body)
        connection.request(
            "GET" if body is None else "POST", path, sent, {"Content-Type": "application/json", **headers}
        )
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def _until_ready(address: str) -> None:
    for _ in range(600):
        if _ask(address, "/readyz")[0] == 200:
            return
        time.sleep(0.1)
    pytest.fail("not ready within a minute")


@pytest.mark.slow
def test_from_start_to_end(trained: Path) -> None:
    """It says its address, answers as `forgeml predict` does, logs a line of JSON a request, and ends with 0."""
    with _serving(trained / "best_model", "--drain-delay", "0") as (server, address):
        _until_ready(address)
        _, answer = _ask(address, "/predict", {"text": "A lovely film"})
        said = json.loads(forgeml("predict", trained / "best_model", "A lovely film", "--json").stdout)
        assert answer["label"] == said["label"]
        assert answer["score"] == pytest.approx(said["score"], abs=1e-6)
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=60)
    assert server.returncode == 0
    events = [json.loads(line) for line in errors.splitlines()]
    assert [one["event"] for one in events if one["event"] != "request"] == ["model", "draining"]
    assert any(one.get("route") == "/predict" and one["status"] == 200 for one in events)
    assert "lovely" not in errors


@pytest.mark.slow
def test_a_key_is_wanted_where_one_is_set(trained: Path) -> None:
    """With a file of keys, what is asked without one is refused, and with one it is not; the docs are off elsewhere."""
    Path("keys").write_text(KEY)
    with _serving(trained / "best_model", "--host", "0.0.0.0", "--keys", "keys", "--log", "text") as (_, address):
        local = address.replace("0.0.0.0", "127.0.0.1")
        _until_ready(local)
        for path, header, status in (
            ("/info", {}, 401),
            ("/info", {"Authorization": f"Bearer {KEY}"}, 200),
            ("/openapi.json", {"Authorization": f"Bearer {KEY}"}, 404),
        ):
            assert _ask(local, path, **header)[0] == status


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--host", "0.0.0.0"], 2, "no key is set"),
        (["--limit", "text=3"], 2, "did you mean texts?"),
        (["--limit", "texts=many"], 2, "a whole number above 0"),
        (["--limit", "answer_s=0"], 2, "a number above 0"),
        (["--limit", "texts"], 2, "a whole number above 0"),
        (["--log", "xml"], 2, "auto, json, text"),
        (["--engine", "onnx-int4"], 2, "there is no engine"),
        (["--watch", "nan"], 2, "--watch"),
        (["--drain-delay", "inf"], 2, "inf seconds"),
        (["--keys", "absent"], 5, "cannot be read"),
        (["--host", "no.such.host.invalid", "--keys", "keys"], 5, "no.such.host.invalid"),
    ],
)
def test_mistakes_are_told(trained: Path, options: list[str], code: int, says: str) -> None:
    """What cannot be served is told in two lines, and the exit code says whose it is."""
    Path("keys").write_text(KEY)
    done = forgeml("serve", trained / "best_model", "--port", "0", *options)
    assert done.returncode == code
    assert says in done.stderr
    assert "\n  fix: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_not_there() -> None:
    """The server does not stay without a model that could be opened."""
    done = forgeml("serve", "nowhere", "--port", "0")
    assert (done.returncode, "no such folder" in done.stderr) == (4, True)
