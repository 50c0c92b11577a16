"""Processor, memory and open files in the doctor's report."""

from __future__ import annotations

import resource

import pytest

from doctoring import findings, wrong
from forgeml.doctor import machine as module
from forgeml.resources import SystemMemory

GB = 10**9


@pytest.fixture(autouse=True)
def _usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with which all is well."""
    monkeypatch.setattr(module, "system_memory", lambda: SystemMemory(16 * GB, 8 * GB, 0, False))
    monkeypatch.setattr(module, "available_cores", lambda: 8)
    monkeypatch.setattr(module, "thread_count", lambda: 8)
    monkeypatch.setattr(module, "processor_limit", lambda: None)
    monkeypatch.setattr(module.resource, "getrlimit", lambda kind: (1024, 4096))


def test_usual_machine_is_fine() -> None:
    """Processor, threads, memory and files each have a line."""
    found = {one.topic: one for one in findings("machine")}
    assert {one.state for one in found.values()} == {"ok"}
    assert found["memory"].text == "8.0 GB free of the 16.0 GB of this machine"
    assert found["threads"].facts["threads"] == 8


def test_more_threads_than_the_container_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number to set is said; a limit of half a processor is one thread."""
    monkeypatch.setattr(module, "processor_limit", lambda: 2.0)
    one = wrong(findings("machine"))
    assert (one.topic, one.state, one.fix) == ("threads", "warning", "set OMP_NUM_THREADS=2")
    assert "may take the time of 2 of 8 cores" in one.text
    monkeypatch.setattr(module, "processor_limit", lambda: 0.5)
    assert wrong(findings("machine")).fix == "set OMP_NUM_THREADS=1"


def test_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when OMP_NUM_THREADS was set for another machine."""
    monkeypatch.setattr(module, "thread_count", lambda: 64)
    assert "64 threads, while there are 8 cores" in wrong(findings("machine")).text


def test_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of the container is told as one."""
    monkeypatch.setattr(module, "system_memory", lambda: SystemMemory(GB, GB // 2, 0, True))
    one = wrong(findings("machine"))
    assert (one.topic, one.state) == ("memory", "warning")
    assert "500.0 MB free of the 1.0 GB that this container may take" in one.text


def test_memory_of_which_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on Linux the line says so."""
    monkeypatch.setattr(module, "system_memory", lambda: None)
    assert "does not say" in next(one.text for one in findings("machine") if one.topic == "memory")


def test_few_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that allows more is said; no limit at all is fine."""
    monkeypatch.setattr(module.resource, "getrlimit", lambda kind: (64, 512))
    assert wrong(findings("machine")).fix == "run ulimit -n 512"
    infinite = resource.RLIM_INFINITY
    monkeypatch.setattr(module.resource, "getrlimit", lambda kind: (infinite, infinite))
    assert {one.state for one in findings("machine")} == {"ok"}
