"""Readers that go away, and streams that were never there."""

from __future__ import annotations

import os
import sys

import pytest

from command import run
from forgeml.cli.console import Watcher
from forgeml.cli.streams import ReaderGone, Results, Story, write_bytes
from forgeml.errors import MachineError
from forgeml.events import Note


def _broken_pipe() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def test_watcher_goes_on_without_anybody_who_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events after the reader has gone end nothing, and neither does the end of the watching."""
    with os.fdopen(_broken_pipe(), "wb") as pipe:
        stream = Story(pipe, encoding="utf-8", line_buffering=True)
        monkeypatch.setattr(sys, "stderr", stream)
        with Watcher() as tell:
            for number in range(100):
                tell(Note("data", f"line {number} " + "x" * 1000))
        stream.flush()


def test_results_nobody_reads_end_the_printing() -> None:
    """The reader that has gone is told by an error of its own, once; after that nothing is pending."""
    with os.fdopen(_broken_pipe(), "wb") as pipe:
        stream = Results(pipe, encoding="utf-8")
        with pytest.raises(ReaderGone):
            print("x", file=stream, flush=True)
        print("y", file=stream, flush=True)


def test_bytes_nobody_reads_end_the_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no text goes the same way: a reader that has gone, or a full disk."""
    with os.fdopen(_broken_pipe(), "wb") as pipe:
        monkeypatch.setattr(sys, "stdout", Results(pipe, encoding="utf-8"))
        with pytest.raises(ReaderGone):
            write_bytes(b"x" * 100_000)
        write_bytes(b"y")
    with open("/dev/full", "wb") as full:
        monkeypatch.setattr(sys, "stdout", Results(full, encoding="utf-8"))
        with pytest.raises(MachineError, match="standard output: cannot be written: No space left"):
            write_bytes(b"x")


def test_results_that_find_no_space_are_an_error() -> None:
    """A full disk is said, and is not taken for a reader that has seen enough."""
    with open("/dev/full", "wb") as full:
        stream = Results(full, encoding="utf-8")
        with pytest.raises(MachineError, match="standard output: cannot be written: No space left"):
            print("x", file=stream, flush=True)


def test_full_disk_under_the_results_has_its_exit_code() -> None:
    """`forgeml config > /dev/full` ends with 5, and says so in two lines."""
    answer = run("bash", "-c", f"{sys.executable} -m forgeml config --schema > /dev/full")
    assert answer.returncode == 5
    assert answer.stderr.startswith("standard output: cannot be written")
    assert answer.stderr.count("\n") == 2


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams_are_no_trouble(closed: str) -> None:
    """A process without stdout or stderr does the same work, and its files do not get the numbers of those."""
    program = (
        "import os, sys; from forgeml.cli import streams; streams.prepare(); print('x'); print('x', file=sys.stderr); "
        "file = open('new', 'w'); sys.exit(file.fileno() > 2 and 42)"
    )
    answer = run("bash", "-c", f'{sys.executable} -c "{program}" {closed}')
    assert answer.returncode == 42
    assert "Traceback" not in answer.stderr


def test_lost_stderr_keeps_the_exit_code() -> None:
    """A mistake that nobody can read has its code all the same."""
    program = f"{sys.executable} -m forgeml config nowhere.yaml 2>&1 >&3 | true; exit ${{PIPESTATUS[0]}}"
    assert run("bash", "-c", f"exec 3>/dev/null; {program}").returncode == 2
