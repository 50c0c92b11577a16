from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from forgeml.machine import available_cores
from forgeml.serving.transport.workers import LONGEST_PAUSE_S, STEADY_S, Slot, worker_environment
from small_application import ask, request
from small_command import command, is_running, pid
from test_serving_transport_draining import stopped_under_load
from test_serving_transport_protocol import wait_until


def both(port: int, besides: int = 0) -> set[int]:
    """The processes that answer, once there are two of them other than `besides`."""
    found: set[int] = set()

    def two() -> bool:
        found.add(pid(port))
        return len(found - {besides}) == 2

    assert wait_until(two, 30)
    return found - {besides}


def test_workers_share_the_port_and_the_cores() -> None:
    """Several processes answer on one port, each with its share of the cores, and all end with the command."""
    with command(2) as small:
        port = small.port()
        workers = both(port)
        assert ask(port, request("/pid"))[2].split()[1] == str(max(1, available_cores() // 2)).encode()
        small.stop()
        code, said, log = small.end()
    assert (code, log) == (0, "")
    ended = [line.split() for line in said.splitlines()]
    assert {int(words[1]) for words in ended} == workers
    assert not any(map(is_running, workers))
    assert not Path(ended[0][2]).exists()


def test_nothing_is_lost_when_workers_stop() -> None:
    """Stopping several processes under load loses no request."""
    assert stopped_under_load(2, signal.SIGTERM).lost == []


def test_a_dead_worker_is_replaced() -> None:
    """When a worker is killed the other one answers meanwhile, a new one comes, and the log says why."""
    with command(2) as small:
        port = small.port()
        workers = both(port)
        killed = min(workers)
        os.kill(killed, signal.SIGKILL)
        assert wait_until(lambda: not is_running(killed))
        # Of the requests on their way to it when it was killed none is left.
        time.sleep(0.2)
        assert ask(port, request())[0] == 200
        assert both(port, besides=killed) != workers
        small.stop()
        code, said, log = small.end()
    assert code == 0
    assert log == f"Worker {killed} ended by SIGKILL; another starts in 1 s.\n"
    assert f"ended: {killed} " in said


def test_a_worker_that_cannot_come_back_does_not_spin() -> None:
    """A worker that dies again and again is tried again after longer and longer pauses, and the command can stop."""
    with command(2, how="third") as small:
        os.kill(both(small.port()).pop(), signal.SIGKILL)
        time.sleep(4)
        small.stop()
        code, _, log = small.end()
    assert code == 0
    assert 2 <= len(log.splitlines()) <= 8
    assert "another starts in 2 s" in log


@pytest.mark.parametrize(
    ("how", "code", "words"), [("broken", 4, "best_model: a file is missing"), ("bug", 5, "code 9")]
)
def test_workers_that_cannot_start_end_the_command(how: str, code: int, words: str) -> None:
    """When the model cannot be loaded the command ends with that error, rather than try for ever."""
    with command(2, how=how) as small:
        ended, _, log = small.end()
    assert (ended, words in log, "Traceback" in log) == (code, True, False)


def test_a_second_signal_ends_all_at_once() -> None:
    """A second signal kills the workers and ends the command with 128 and its number."""
    with command(2, drain_delay_s=60.0) as small:
        workers = both(small.port())
        small.stop()
        time.sleep(1.5)
        small.stop()
        assert small.end()[0] == 143
        assert wait_until(lambda: not any(map(is_running, workers)))


def test_workers_do_not_outlive_their_supervisor() -> None:
    """When the supervisor is killed the workers finish what they have and end."""
    with command(2) as small:
        workers = both(small.port())
        small.process.kill()
        assert wait_until(lambda: not any(map(is_running, workers)), 20)


@pytest.mark.slow
def test_a_hung_worker_is_replaced() -> None:
    """A worker that does nothing any more is ended and replaced."""
    with command(2) as small:
        port = small.port()
        workers = both(port)
        hung = min(workers)
        os.kill(hung, signal.SIGSTOP)
        assert wait_until(lambda: not is_running(hung), 60)
        assert both(port, besides=hung)
        small.stop()
        assert f"Worker {hung} hangs and is ended." in small.end()[2]


def test_pauses_double() -> None:
    """The pause before a worker is replaced doubles up to a bound, and a long life ends that."""
    slot = Slot()
    pauses = [slot.ended(lived_s=0.1, now=100.0) for _ in range(7)]
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    assert slot.start_at == 100.0 + LONGEST_PAUSE_S
    assert slot.ended(lived_s=STEADY_S, now=100.0) == 0
    assert slot.ended(lived_s=0.1, now=100.0) == 1


@pytest.mark.parametrize("before", [None, "3"])
def test_the_environment_is_put_back(before: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that were set are left so, the folder is private, and afterwards all is as it was."""
    change: Callable[..., None] = monkeypatch.delenv if before is None else monkeypatch.setenv
    change("OMP_NUM_THREADS", *([] if before is None else [before]))
    with worker_environment(1_000):
        assert os.environ["OMP_NUM_THREADS"] == (before or "1")
        folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        assert folder.stat().st_mode & 0o77 == 0
    assert os.environ.get("OMP_NUM_THREADS") == before
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
    assert not folder.exists()
