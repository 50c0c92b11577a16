"""Who holds a lock, and whether that process is still there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from forgeml.training import holder as module
from forgeml.training.holder import Holder, began, boot_id


@pytest.fixture
def sleeper() -> subprocess.Popen[bytes]:
    """A process that does nothing until it is ended."""
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def of(process: subprocess.Popen[bytes]) -> Holder:
    """The holder that a process would be."""
    return replace(Holder.this(), pid=process.pid, began=began(process.pid))


def test_record_comes_back() -> None:
    """What is written as JSON is read as the same holder."""
    this = Holder.this()
    assert Holder.from_text(json.dumps(asdict(this))) == this
    assert str(this) == f"process {os.getpid()} on {this.host}, since {this.since}"
    assert this.since.endswith(" UTC")


@pytest.mark.parametrize(
    "change",
    [{"pid": "x"}, {"pid": -1}, {"mark": "../../etc"}, {"mark": "short"}, {"host": "a\nb"}, {"since": "\x1b[31m"}],
)
def test_record_that_is_none(change: dict[str, object]) -> None:
    """What somebody else has written there is not taken for a holder, nor shown."""
    assert Holder.from_text(json.dumps({**asdict(Holder.this()), **change})) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '"x"', "[" * 100_000])
def test_text_that_is_no_record(text: str) -> None:
    """Half a record, or anything else, is none."""
    assert Holder.from_text(text) is None


def test_process_lives_until_it_ends(sleeper: subprocess.Popen[bytes]) -> None:
    """Killed it is gone, though its parent has not yet asked for its result."""
    found = of(sleeper)
    assert found.lives
    sleeper.kill()
    ends = time.monotonic() + 20
    while found.lives and time.monotonic() < ends:
        time.sleep(0.01)
    assert not found.lives
    sleeper.communicate()
    assert not found.lives


def test_another_process_of_the_same_number_is_not_it(sleeper: subprocess.Popen[bytes]) -> None:
    """A number that is used again has begun at another time."""
    assert not replace(of(sleeper), began="1").lives
    sleeper.communicate(b"\n")


def test_number_that_no_process_can_have() -> None:
    """It is gone, not an error."""
    assert not replace(Holder.this(), pid=2**70).lives
    assert not replace(Holder.this(), pid=2**22 + 7).lives


def test_process_that_the_system_hides_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the own processes are shown, another user's is known by the refusal."""

    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(module, "began", lambda pid: "")
    monkeypatch.setattr(module.os, "kill", refuse)
    assert replace(Holder.this(), pid=1).lives


def test_name_of_a_program_may_be_anything(tmp_path: Path) -> None:
    """Blanks and brackets in a program's name do not shift what is read after it."""
    program = tmp_path / "odd ) R 1 (name"
    program.symlink_to(sys.executable)
    with subprocess.Popen([program, "-c", "input()"], stdin=subprocess.PIPE) as process:
        found = began(process.pid)
        process.communicate(b"\n")
    if Path("/proc/self/stat").exists():
        assert found.isdecimal()
        assert int(found) > 0


def test_systems_without_proc_are_asked_by_ps(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the time of the clock at which it began tells a process."""
    exists = os.path.exists
    monkeypatch.setattr(module.os.path, "exists", lambda path: path != "/proc/self/stat" and exists(path))
    if not any(exists(f"{folder}/ps") for folder in os.environ["PATH"].split(":")):
        pytest.skip("there is no ps")
    assert began(os.getpid()) == began(os.getpid()) != ""
    assert began(2**22 + 7) == ""


def test_start_of_the_machine_stays_the_same() -> None:
    """It is one text as long as the machine runs."""
    assert boot_id() == boot_id()


def test_holders_of_which_nothing_is_known_may_live() -> None:
    """This one lives; one of another number or beginning, or from before a restart, does not."""
    this = Holder.this()
    assert this.may_live
    assert replace(this, host="elsewhere", pid=2**22 + 1).may_live
    assert not replace(this, pid=2**22 + 1).may_live
    assert not replace(this, began="1").may_live
    assert not replace(this, boot="another").may_live
