"""Runs a function in several processes of one run, placed as torchrun places them.

They are copies of one process that has imported all libraries, so that a test does not pay for that again.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT = 60

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["forgeml.training.train"])


@dataclass(frozen=True)
class Running:
    """Processes at work."""

    processes: tuple[Any, ...]
    """By rank."""
    folder: Path

    def ended(self) -> list[Ended]:
        """Wait for their end; one that takes too long is killed."""
        for process in self.processes:
            process.join(TIMEOUT)
            process.kill()
            process.join()
        return [Ended(process.exitcode, self.folder / str(rank)) for rank, process in enumerate(self.processes)]


@dataclass(frozen=True)
class Ended:
    """One of the processes at its end."""

    code: int
    folder: Path

    @property
    def said(self) -> str:
        """On stdout and stderr."""
        return (self.folder / "said").read_text(encoding="utf-8")

    @property
    def result(self) -> Any:
        """What the function returned."""
        assert self.code == 0, self.said
        return pickle.loads((self.folder / "result").read_bytes())


def together(work: Callable[..., Any], *arguments: Any, count: int = 2, **variables: str) -> list[Any]:
    """What a module's function returns in each of the processes, by rank; all must end well.

    Args:
        work: is called in each of them.
        arguments: of the call, the same everywhere.
        count: of processes.
        variables: of their environment.
    """
    with started(work, *arguments, count=count, **variables) as running:
        return [process.result for process in running.ended()]


@contextmanager
def started(work: Callable[..., Any], *arguments: Any, count: int = 2, **variables: str) -> Iterator[Running]:
    """The same, while it runs."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1"}
        shared |= {"MASTER_PORT": str(free.getsockname()[1]), **variables}
        free.close()
        places = [Path(folder, str(rank)) for rank in range(count)]
        processes = [
            CONTEXT.Process(
                target=_run, args=(work, arguments, place, {**shared, "RANK": place.name, "LOCAL_RANK": place.name})
            )
            for place in places
        ]
        for place, process in zip(places, processes, strict=True):
            place.mkdir()
            process.start()
        try:
            yield Running(tuple(processes), Path(folder))
        finally:
            for process in processes:
                process.kill()


def _run(work: Callable[..., Any], arguments: tuple[Any, ...], place: Path, variables: dict[str, str]) -> None:
    os.environ.update(variables)
    with (place / "said").open("wb") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    result = work(*arguments)
    (place / "result").write_bytes(pickle.dumps(result))
