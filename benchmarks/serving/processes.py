"""A server as a process with all it has started: ready, asleep while others have their turn, measured, ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from serving.client import Address

HOST = "127.0.0.1"
READY_S = 180.0
END_S = 15.0
WAKING_S = 0.1


@dataclass(frozen=True)
class Cores:
    """Which cores servers and clients run on."""

    server: frozenset[int]
    client: frozenset[int]


def choose_cores(pin: bool) -> Cores:
    """One core for each where that is wanted, or else all for both.

    Raises:
        ValueError: there are no two cores, or the system cannot keep a process on one.
    """
    if not hasattr(os, "sched_getaffinity"):
        if pin:
            raise ValueError("--pin needs Linux")
        return Cores(frozenset(), frozenset())
    found = sorted(os.sched_getaffinity(0))
    if not pin:
        return Cores(frozenset(found), frozenset(found))
    if len(found) < 2:
        raise ValueError("--pin needs two cores")
    return Cores(frozenset(found[:1]), frozenset(found[-1:]))


class Started:
    """A server that runs; its output is in a file."""

    def __init__(self, name: str, command: Sequence[str], port: int, log: Path, cores: Cores) -> None:
        """Start it on its cores; what starts a process hands down its own."""
        self.name, self._log = name, log
        self.address: Address = (HOST, port)
        # The programs of the Python that runs this are found first: MLflow starts uvicorn by its name.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        with log.open("wb") as output, _on(cores.server, cores.client):
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "MLFLOW_DISABLE_TELEMETRY": "true"},
                start_new_session=True,
            )

    def wait_until_ready(self, path: str) -> float:
        """Seconds until `path` answered 200.

        Raises:
            RuntimeError: the process ended, or it took too long.
        """
        started = time.monotonic()
        while (passed := time.monotonic() - started) < READY_S:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self._process.returncode}: {self._last_words()}")
            address = f"http://{HOST}:{self.address[1]}{path}"
            with suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
                if answer.status == 200:
                    return passed
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} was not ready after {READY_S:.0f} s: {self._last_words()}")

    def pause(self) -> None:
        """Take all cores from it; what supervises others stops before them."""
        for process in self._tree():
            process.suspend()

    def resume(self) -> None:
        """Let it go on; what supervises others wakes after them and finds them answering."""
        for process in reversed(self._tree()):
            process.resume()
        time.sleep(WAKING_S)

    def memory(self) -> float:
        """Bytes in memory of all its processes; what they share counts for each."""
        return self._total(lambda process: process.memory_info().rss)

    def processor_seconds(self) -> float:
        """Seconds of processor that its processes have used so far."""
        return self._total(lambda process: sum(process.cpu_times()[:2]))

    def open_files(self) -> float:
        """Open files, sockets among them."""
        return self._total(lambda process: process.num_fds())

    def threads(self) -> float:
        """Threads of all its processes."""
        return self._total(lambda process: process.num_threads())

    def end(self) -> None:
        """Ask it to end, and end what is left after a while."""
        tree = self._tree()
        for process in reversed(tree):
            with suppress(psutil.NoSuchProcess):
                process.resume()
        self._process.terminate()
        _, left = psutil.wait_procs(tree, END_S)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()

    def _tree(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self._process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _total(self, figure: Callable[[psutil.Process], float]) -> float:
        found = 0.0
        for process in self._tree():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                found += figure(process)
        return found

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "without a word"


def free_port() -> int:
    """A port that nothing listened at a moment ago."""
    with socket.socket() as one:
        one.bind((HOST, 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def _on(these: frozenset[int], afterwards: frozenset[int]) -> Iterator[None]:
    if not these:
        yield
        return
    os.sched_setaffinity(0, these)
    try:
        yield
    finally:
        os.sched_setaffinity(0, afterwards)
