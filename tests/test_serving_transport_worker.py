from __future__ import annotations

import functools
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from forgeml.errors import ModelError
from forgeml.serving.transport.addresses import bind
from forgeml.serving.transport.worker import Worker, start
from small_application import SmallApplication, ask, request
from small_server import Known
from test_serving_transport_protocol import wait_until


def heard(worker: Worker) -> bool:
    """Whether it has said anything, after listening again."""
    worker.hear(time.monotonic())
    return worker.heard_at is not None or worker.failure is not None


def test_a_worker_says_that_it_is_alive() -> None:
    """It says so when it accepts connections, and again and again; it ends when it is asked to."""
    with bind("127.0.0.1", 0) as listening:
        worker = start(SmallApplication, listening, 0.0, time.monotonic())
        port = listening.getsockname()[1]
        assert wait_until(lambda: heard(worker), 30)
        first = worker.heard_at
        assert ask(port, request())[0] == 200
        assert wait_until(lambda: heard(worker) and worker.heard_at != first)
        os.kill(worker.process.pid or 0, signal.SIGTERM)
        worker.process.join(20)
    assert worker.ending() == "ended with exit code 0"
    worker.messages.close()


def test_a_failure_keeps_its_kind_and_words(tmp_path: Path) -> None:
    """What a worker cannot load for comes across as it was."""
    with bind("127.0.0.1", 0) as listening:
        worker = start(functools.partial(Known, "broken", tmp_path), listening, 0.0, time.monotonic())
        assert wait_until(lambda: heard(worker), 30)
        worker.process.join(20)
    assert worker.failure
    assert worker.failure.kind is ModelError
    assert worker.failure.problems[0].what == "a file is missing"
    assert worker.ending() == "ended with exit code 4"
    worker.messages.close()


def test_a_worker_that_starts_ends_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    """A signal from the terminal while a worker is still starting ends it without a traceback."""
    with bind("127.0.0.1", 0) as listening:
        worker = start(SmallApplication, listening, 0.0, time.monotonic())
        os.kill(worker.process.pid or 0, signal.SIGINT)
        worker.process.join(20)
    assert worker.ending() in ("ended by SIGINT", "ended with exit code 0")
    assert capfd.readouterr().err == ""
    worker.messages.close()


def test_hearing_of_a_worker_that_is_gone() -> None:
    """The end of what it says is no error."""

    class Ended:
        def poll(self) -> bool:
            return True

        def recv(self) -> object:
            raise EOFError

    messages: Connection = Ended()  # type: ignore[assignment]
    worker = Worker(None, messages, started_at=0.0)  # type: ignore[arg-type]
    worker.hear(1.0)
    assert worker.heard_at is None
