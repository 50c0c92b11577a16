"""The tracking store in the doctor's report."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from doctoring import findings, wrong
from forgeml.doctor import tracking as module
from forgeml.doctor.finding import Finding


@contextmanager
def answering(status: int) -> Iterator[str]:
    """Address of a server that answers each question with a status."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 500)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def store(path: Path) -> Path:
    """A database with the table of runs that the doctor counts."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE runs (run_uuid TEXT, status TEXT)")
        database.executemany("INSERT INTO runs VALUES (?, ?)", [("a", "FINISHED"), ("b", "FINISHED"), ("c", "RUNNING")])
        database.commit()
    return path


def of_file(path: Path) -> Finding:
    """The finding on a store in a file."""
    [one] = findings("tracking", uri=f"sqlite:///{path}")
    return one


def test_store_that_is_not_there_yet(tmp_path: Path) -> None:
    """The first run makes it, and the doctor does not."""
    assert of_file(tmp_path / "mlflow.db").state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_store_of_a_training(trained: Path) -> None:
    """Its runs are counted by how they ended."""
    one = of_file(trained / "mlflow.db")
    assert (one.state, one.facts["runs"]) == ("ok", {"FINISHED": 1})


def test_runs_are_counted(tmp_path: Path) -> None:
    """Nothing is written beside the file by reading it."""
    one = of_file(store(tmp_path / "mlflow.db"))
    assert one.text.endswith("runs: 2 finished, 1 running")
    assert os.listdir(tmp_path) == ["mlflow.db"]


def zero(path: Path) -> None:
    """Lose the middle of the file."""
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))


def replace(path: Path) -> None:
    """Another file in its place."""
    path.write_bytes(b"<html>" * 1000)


def cut(path: Path) -> None:
    """Lose the second half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("spoil", [zero, replace, cut])
def test_damaged_store(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    """It is a problem with the way out, however it is damaged."""
    spoil(store(tmp_path / "mlflow.db"))
    one = of_file(tmp_path / "mlflow.db")
    assert (one.state, f"move {tmp_path / 'mlflow.db'} away" in one.fix) == ("problem", True), one


def test_folder_in_the_place_of_the_store(tmp_path: Path) -> None:
    """It is told as such."""
    (tmp_path / "mlflow.db").mkdir()
    assert of_file(tmp_path / "mlflow.db").text.endswith("is not a file")


def test_store_that_is_in_use(tmp_path: Path) -> None:
    """A database that another program has locked is a warning."""
    with closing(sqlite3.connect(store(tmp_path / "mlflow.db"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        one = of_file(tmp_path / "mlflow.db")
    assert (one.state, "locked" in one.text) == ("warning", True)


def test_database_of_something_else(tmp_path: Path) -> None:
    """One without runs is told."""
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("CREATE TABLE songs (name TEXT)")
    assert "no such table: runs" in of_file(tmp_path / "mlflow.db").text


def test_store_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training goes on without it, so that is a warning."""
    store(tmp_path / "mlflow.db")
    monkeypatch.setattr(module.os, "access", lambda path, mode: False)
    assert of_file(tmp_path / "mlflow.db").state == "warning"


def test_large_store_is_read_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some seconds the reading ends, and the line says so."""
    monkeypatch.setattr(module, "LONGEST_READ_S", -1.0)
    monkeypatch.setattr(module, "INSTRUCTIONS", 1)
    one = of_file(store(tmp_path / "mlflow.db"))
    assert (one.state, "of which a part was read" in one.text) == ("ok", True)


@pytest.mark.parametrize(
    ("status", "state", "words"),
    [
        (200, "ok", "answers"),
        (401, "warning", "does not let this user in"),
        (404, "warning", "answers 404 where an MLflow server tells its health"),
        (500, "warning", "answers 500"),
    ],
)
def test_server_that_answers(status: int, state: str, words: str) -> None:
    """Whether it is one of MLflow is seen from how it tells its health."""
    with answering(status) as uri:
        [one] = findings("tracking", uri=uri)
    assert (one.state, words in one.text) == (state, True), one
    assert bool(one.fix) is (state != "ok")


def test_server_that_is_away() -> None:
    """A refused connection is a warning that a training goes on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        one = wrong(findings("tracking", uri=f"http://127.0.0.1:{taken.getsockname()[1]}"))
    assert (one.state, "is away" in one.text, "a training goes on without it" in one.fix) == ("warning", True, True)


def test_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for within bounds."""
    monkeypatch.setattr(module, "ANSWER_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        one = wrong(findings("tracking", uri=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        monkeypatch.setattr(module, "LONGEST_S", 0.1)
        monkeypatch.setattr(module, "_ask", lambda uri: threading.Event().wait(0.5))
        late = wrong(findings("tracking", uri="http://127.0.0.1:1"))
    assert "timed out" in one.text
    assert "no answer within 0.1 seconds" in late.text


def test_server_that_speaks_another_language() -> None:
    """What is no HTTP is told in a line."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        greeting = threading.Thread(target=greet)
        greeting.start()
        one = wrong(findings("tracking", uri=f"http://127.0.0.1:{server.getsockname()[1]}"))
        greeting.join()
    assert "is away: SSH-2.0" in one.text


def test_passwords_are_not_shown() -> None:
    """Neither of a server nor of a database elsewhere."""
    for uri in ("http://me:geheim@127.0.0.1:1", "postgresql://me:geheim@host/db"):
        assert all("geheim" not in one.text + one.fix + str(one.facts) for one in findings("tracking", uri=uri))
