"""What of the machine this process may have, by files as Linux writes them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from forgeml.resources import held_memory, processor_limit, system_memory

MEGABYTE = 1024**2


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """The folder /proc of a machine with 8,000 MB, of which 5,000 are free, and 100 of swap."""
    folder = tmp_path / "proc"
    (folder / "self").mkdir(parents=True)
    facts = {"MemTotal": 8000, "MemFree": 100, "MemAvailable": 5000, "SwapFree": 100}
    (folder / "meminfo").write_text("".join(f"{name}:  {count * 1024} kB\n" for name, count in facts.items()))
    return folder


def group(folder: Path, **files: object) -> None:
    """Write the files of a control group."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def test_machine_without_limits(proc: Path, tmp_path: Path) -> None:
    """What the machine says is what there is."""
    found = system_memory(proc, tmp_path / "absent")
    assert found is not None
    assert (found.total, found.available) == (8000 * MEGABYTE, 5000 * MEGABYTE)
    assert (found.swap, found.limited) == (100 * MEGABYTE, False)
    assert processor_limit(proc, tmp_path / "absent") is None


def test_limits_of_the_second_version(proc: Path, tmp_path: Path) -> None:
    """The tightest of the groups on the way counts, without what the system keeps of files."""
    (proc / "self" / "cgroup").write_text("0::/pod/box\n")
    groups = tmp_path / "groups"
    group(groups / "pod", memory__max=2000 * MEGABYTE, memory__current=1500 * MEGABYTE, cpu__max="150000 100000")
    (groups / "pod" / "memory.stat").write_text(f"anon 9\ninactive_file {300 * MEGABYTE}\nactive_file {MEGABYTE}\n")
    group(groups / "pod" / "box", memory__max="max", memory__current=5, cpu__max="max 100000")
    found = system_memory(proc, groups)
    assert found is not None
    assert (found.total, found.available, found.limited) == (2000 * MEGABYTE, 801 * MEGABYTE, True)
    assert processor_limit(proc, groups) == 1.5


def test_limits_of_the_first_version(proc: Path, tmp_path: Path) -> None:
    """Memory and processors have folders of their own there; the container sees its own group as the outermost."""
    (proc / "self" / "cgroup").write_text("4:memory:/docker/1a2b\n2:cpu,cpuacct:/docker/1a2b\n1:name=systemd:/\n")
    memory, cpu = tmp_path / "groups" / "memory", tmp_path / "groups" / "cpu"
    group(memory, memory__limit_in_bytes=1000 * MEGABYTE, memory__usage_in_bytes=1200 * MEGABYTE)
    group(cpu, cpu__cfs_quota_us=50_000, cpu__cfs_period_us=100_000)
    found = system_memory(proc, tmp_path / "groups")
    assert found is not None
    assert (found.total, found.available, found.limited) == (1000 * MEGABYTE, 0, True)
    assert processor_limit(proc, tmp_path / "groups") == 0.5


def test_limit_that_is_none(proc: Path, tmp_path: Path) -> None:
    """Numbers larger than the machine, and -1, are how the first version says that there is no limit."""
    (proc / "self" / "cgroup").write_text("4:memory:/\n2:cpu:/\n")
    group(tmp_path / "groups" / "memory", memory__limit_in_bytes=2**63 - 4096, memory__usage_in_bytes=7)
    group(tmp_path / "groups" / "cpu", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100_000)
    found = system_memory(proc, tmp_path / "groups")
    assert found is not None
    assert (found.total, found.limited) == (8000 * MEGABYTE, False)
    assert processor_limit(proc, tmp_path / "groups") is None


def test_system_that_does_not_say(tmp_path: Path) -> None:
    """Elsewhere than on Linux nothing is known, which is no error."""
    assert system_memory(tmp_path / "absent", tmp_path) is None
    assert held_memory(tmp_path / "absent") == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="only Linux says")
def test_memory_that_is_taken_shows() -> None:
    """50 MB that are written to are held."""
    before = held_memory()
    taken = np.ones(50 * MEGABYTE, np.uint8)
    assert held_memory() - before > 40 * MEGABYTE
    assert taken.all()
    found = system_memory()
    assert found is not None
    assert 0 < found.available <= found.total
