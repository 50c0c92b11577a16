"""Runs the small server as a command of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import REPOSITORY
from small_application import ask, request


class Command:
    """The small server in a process; what it says is in `lines`."""

    def __init__(self, workers: int, drain_delay_s: float, how: str) -> None:
        """Start it, in the working folder."""
        script = [sys.executable, str(REPOSITORY / "tests" / "small_server.py")]
        path = os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY / "tests")])
        environment = {**os.environ, "PYTHONPATH": path}
        environment.pop("OMP_NUM_THREADS", None)
        self.process = subprocess.Popen(
            [*script, str(workers), str(drain_delay_s), how],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def port(self) -> int:
        """Wait until it is ready."""
        assert self.process.stdout
        return int(self.process.stdout.readline().rpartition(":")[2])

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, timeout_s: float = 40) -> tuple[int, str, str]:
        """Wait for its end: exit code, and what is still to be read of its output and its log."""
        said, log = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, said, log


@contextmanager
def command(workers: int = 1, drain_delay_s: float = 0.0, how: str = "well") -> Iterator[Command]:
    """The small server until the block ends, if it has not ended before."""
    started = Command(workers, drain_delay_s, how)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
        started.process.communicate(timeout=20)


def pid(port: int) -> int:
    """The process that answers."""
    return int(ask(port, request("/pid"))[2].split()[0])


def is_running(process: int) -> bool:
    """Whether a process is there and not only its exit code."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
