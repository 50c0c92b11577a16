"""One training a folder: who has it, who comes second, and what becomes of locks whose holders are gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from forgeml import folders
from forgeml.errors import MachineError, Stopped
from forgeml.events import Event, Note
from forgeml.training import lock as module
from forgeml.training.holder import Holder
from forgeml.training.lock import LOCK, Seen, locked, look, refuse_if_held
from locking import Process

PAIRS = 20
ROUNDS = 150
BOTH = pytest.mark.parametrize("without_locks", [False, True], ids=["locks", "no locks"])


@contextmanager
def processes(folder: Path, count: int, *, without_locks: bool = False) -> Iterator[list[Process]]:
    """Processes that are ready to take the lock of a folder, and end with the test."""
    with ExitStack() as stack:
        started = [Process(folder, without_locks=without_locks) for _ in range(count)]
        for process in started:
            stack.callback(process.end)
        yield started


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no locks."""
    monkeypatch.setattr(module, "_try", lambda handle, kind: None)


def leave_behind(folder: Path, **changes: object) -> Holder:
    """Write a record as a holder leaves it that was killed."""
    folder.mkdir(parents=True, exist_ok=True)
    holder = replace(Holder.this(), **{"pid": 2**22 + 7, "mark": "0" * 32, **changes})
    (folder / LOCK).write_text(json.dumps(asdict(holder)))
    return holder


def taken(folder: Path) -> list[str]:
    """Take and leave the lock; what was told."""
    told: list[Event] = []
    with locked(str(folder), told.append):
        pass
    return [event.text for event in told if isinstance(event, Note)]


def test_nothing_is_left(tmp_path: Path) -> None:
    """The file is there inside, with who holds it, and gone afterwards, and so is a folder that was made for it."""
    with locked(str(tmp_path / "new" / "deep")):
        found = Holder.from_text((tmp_path / "new" / "deep" / LOCK).read_text())
        assert found is not None
        assert (found.pid, found.lives) == (os.getpid(), True)
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_stays(tmp_path: Path) -> None:
    """The folder was made for the lock, and holds something by now."""
    with locked(str(tmp_path / "new")):
        (tmp_path / "new" / "model").write_text("mine")
    assert os.listdir(tmp_path / "new") == ["model"]


@BOTH
def test_of_two_at_once_one_goes_on(tmp_path: Path, without_locks: bool) -> None:
    """Twenty pairs that begin in the same instant: each time one has the folder, and the other is told who."""
    with processes(tmp_path / "run", 2, without_locks=without_locks) as pair:
        for _ in range(PAIRS):
            at = time.monotonic() + 0.02
            for process in pair:
                process.ask(f"take {at}")
            said = [process.answer() for process in pair]
            winner, loser = sorted(range(2), key=lambda number: not said[number].startswith("won"))
            assert said[winner] == "won"
            assert f"in use by another training: process {pair[winner].process.pid} on " in said[loser]
            pair[winner].ask("leave")
            assert pair[winner].answer() == "left"
    # The folder may stay, if one has made it and the other one was in it last.
    assert list(tmp_path.glob("*/*")) == []


def test_twenty_pairs_of_processes(tmp_path: Path) -> None:
    """The same with forty processes that have just begun, none of which has loaded torch."""
    ready = [[Process(tmp_path / str(number)) for _ in range(2)] for number in range(PAIRS)]
    at = time.monotonic() + 0.1
    for pair in ready:
        for process in pair:
            process.ask(f"take {at}")
    said = [sorted(process.answer().split(" ")[0] for process in pair) for pair in ready]
    for process in (one for pair in ready for one in pair):
        process.end()
    assert said == [["refused", "won"]] * PAIRS


@BOTH
def test_never_two_inside(tmp_path: Path, without_locks: bool) -> None:
    """Four processes that take and leave the lock as fast as they can are never in the folder together."""
    with processes(tmp_path, 4, without_locks=without_locks) as several:
        for process in several:
            process.ask(f"rounds {ROUNDS}")
        won = [process.answer() for process in several]
    assert "both" not in won
    assert sum(map(int, won)) > 0
    assert list(tmp_path.iterdir()) == []


@BOTH
def test_lock_of_a_killed_process_is_taken_over(tmp_path: Path, without_locks: bool) -> None:
    """After kill -9 the next one has the folder and says whose lock it was; of several, one alone."""
    with processes(tmp_path, 4, without_locks=without_locks) as (first, *others):
        assert first.take() == "won"
        first.kill()
        at = time.monotonic() + 0.05
        for process in others:
            process.ask(f"take {at}")
        said = sorted(process.answer() for process in others)
    assert [text.split(" ")[0] for text in said] == ["refused", "refused", "won"]
    assert f"was left locked by process {first.process.pid} on " in said[2]
    assert list(tmp_path.iterdir()) == []


@BOTH
def test_after_a_crowd_of_kills_one_has_it(tmp_path: Path, without_locks: bool) -> None:
    """Each process that is killed with the lock in its hands makes room for the next."""
    with processes(tmp_path, 5, without_locks=without_locks) as several:
        for process in several:
            assert process.take().startswith("won")
            process.kill()
        assert look(str(tmp_path))[0] is Seen.GONE


def test_holder_is_named_at_once(tmp_path: Path) -> None:
    """Exit code 5 with process, machine and time, and how to stop it; without a wait."""
    with processes(tmp_path, 1) as [process]:
        assert process.take() == "won"
        with pytest.raises(MachineError) as caught, locked(str(tmp_path)):
            pass
        [problem] = caught.value.problems
        assert caught.value.exit_code == 5
        assert problem.where == "output_dir"
        assert problem.what.startswith(f"{tmp_path} is in use by another training: process {process.process.pid} on ")
        assert f"kill {process.process.pid} stops it" in problem.fix
        with pytest.raises(MachineError, match="in use by another training"):
            refuse_if_held(str(tmp_path))


def test_second_training_of_one_process_is_refused(tmp_path: Path) -> None:
    """Also in a thread, or one inside the other."""
    with (
        locked(str(tmp_path)),
        pytest.raises(MachineError, match=f"in use by another training: process {os.getpid()} "),
        locked(str(tmp_path)),
    ):
        pass
    refuse_if_held(str(tmp_path))


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt(), Stopped(15), SystemExit(1)])
def test_lock_goes_with_an_error(tmp_path: Path, error: BaseException) -> None:
    """However the training ends, the folder is free."""
    with pytest.raises(type(error)), locked(str(tmp_path)):
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("stopping")
def test_signal_while_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal in the middle waits until the lock is taken, and then it is left again."""
    write = module._write

    def interrupted(place: Path, handle: int, holder: Holder) -> None:
        write(place, handle, holder)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(module, "_write", interrupted)
    with pytest.raises(Stopped), locked(str(tmp_path)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_number_that_is_used_again(tmp_path: Path) -> None:
    """After a restart another process may have the number of the holder; its lock is taken over all the same."""
    left = leave_behind(tmp_path, pid=os.getppid(), began="1")
    assert taken(tmp_path) == [f"{tmp_path} was left locked by {left}; that has ended, so the lock is taken over"]
    leave_behind(tmp_path, pid=os.getppid(), boot="before the restart")
    assert len(taken(tmp_path)) == 1


@pytest.mark.parametrize("content", ["", "{", "\x00" * 50, '{"pid": 1}'])
def test_file_without_a_holder_is_free(tmp_path: Path, content: str) -> None:
    """What was never written to its end, as after a loss of power, keeps nobody out."""
    (tmp_path / LOCK).write_text(content)
    assert look(str(tmp_path)) == (Seen.FREE, None)
    assert taken(tmp_path) == []


def test_machine_that_cannot_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where locks do not reach other machines, a holder on one is said to be out of sight, with the file to remove."""
    left = leave_behind(tmp_path, host="elsewhere", boot="another")
    monkeypatch.setattr(module, "locks_reach_all", lambda folder: False)
    assert look(str(tmp_path)) == (Seen.UNKNOWN, left)
    with pytest.raises(MachineError, match="process 4194311 on elsewhere") as caught, locked(str(tmp_path)):
        pass
    [problem] = caught.value.problems
    assert "from here it cannot be seen whether that still runs" in problem.what
    assert f"remove {tmp_path / LOCK}" in problem.fix
    assert Holder.from_text((tmp_path / LOCK).read_text()) == left


def test_machine_whose_locks_are_seen(tmp_path: Path) -> None:
    """On a disk that one machine has at a time, or where the server keeps the locks, a lock that is free is free."""
    leave_behind(tmp_path, host="elsewhere", boot="another")
    if folders.locks_reach_all(tmp_path):
        assert len(taken(tmp_path)) == 1


def test_other_container_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has another name and the same system, whose locks it shares: a restarted container goes on by itself."""
    leave_behind(tmp_path, host="container-before")
    monkeypatch.setattr(module, "locks_reach_all", lambda folder: False)
    if Holder.this().boot:
        assert len(taken(tmp_path)) == 1


@pytest.mark.usefixtures("no_locks")
def test_without_locks_another_machine_is_out_of_sight(tmp_path: Path) -> None:
    """Not even a container on this machine can be seen then."""
    leave_behind(tmp_path, host="container-before")
    assert look(str(tmp_path))[0] is Seen.UNKNOWN
    with pytest.raises(MachineError, match="cannot be seen"), locked(str(tmp_path)):
        pass


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_file_without_a_name_is_somebody_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever made it may be about to write; it is waited for, and then the file is named."""
    monkeypatch.setattr(module, "PAUSE", 0.001)
    (tmp_path / LOCK).write_text("")
    with pytest.raises(MachineError) as caught, locked(str(tmp_path)):
        pass
    assert f"if there is none, remove {tmp_path / LOCK}" in caught.value.problems[0].fix


@pytest.mark.usefixtures("no_locks")
def test_half_a_take_over_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was killed while it took a lock over leaves a file that keeps others from doing so too."""
    monkeypatch.setattr(module, "PAUSE", 0.001)
    leave_behind(tmp_path)
    (tmp_path / f"{LOCK}.{'0' * 32}").write_text("")
    with pytest.raises(MachineError, match="in use by another training"), locked(str(tmp_path)):
        pass


@pytest.mark.usefixtures("no_locks")
def test_record_that_changes_under_the_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wants to take over a lock that somebody else has taken over meanwhile begins anew."""
    before = leave_behind(tmp_path)
    leave_behind(tmp_path, mark="1" * 32, pid=os.getpid(), began=Holder.this().began)
    assert not module._replaced(tmp_path / LOCK, before, Holder.this())
    assert os.listdir(tmp_path) == [LOCK]
    with pytest.raises(MachineError, match=f"process {os.getpid()} "), locked(str(tmp_path)):
        pass


def test_child_that_outlives_its_parent_keeps_the_lock(tmp_path: Path) -> None:
    """A process that the training has started may still write; nobody is named, since the holder has ended."""
    script = (
        "import os, sys, time; from forgeml.training.lock import locked\n"
        "lock = locked(sys.argv[1]); lock.__enter__()\n"
        "if os.fork() == 0:\n    print('child', flush=True); sys.stdin.readline(); os._exit(0)\n"
        "os._exit(9)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"child\n"
        process.wait()
        with pytest.raises(MachineError) as caught, locked(str(tmp_path)):
            pass
        assert caught.value.problems[0].what == f"{tmp_path} is in use by another training"
        process.communicate(b"\n")
    assert len(taken(tmp_path)) == 1


def test_looking_does_not_keep_anybody_out(tmp_path: Path) -> None:
    """While others look at a lock that was left, one who takes it is not refused."""
    leave_behind(tmp_path)
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            look(str(tmp_path))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        for _ in range(50):
            taken(tmp_path)
    finally:
        stop.set()
        watching.join()


def test_lock_that_somebody_removed_is_left_alone(tmp_path: Path) -> None:
    """Who leaves removes no file that another training has made in the meantime, and needs none to be there."""
    with locked(str(tmp_path)):
        (tmp_path / LOCK).unlink()
    with locked(str(tmp_path)):
        (tmp_path / LOCK).unlink()
        other = leave_behind(tmp_path, mark="2" * 32)
    assert Holder.from_text((tmp_path / LOCK).read_text()) == other


def test_folder_that_is_moved_takes_its_lock_along(tmp_path: Path) -> None:
    """Leaving a folder that is no longer there is no error, and makes no new one."""
    with locked(str(tmp_path / "run")):
        (tmp_path / "run").rename(tmp_path / "moved")
    assert os.listdir(tmp_path) == ["moved"]


def test_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    """What it leads to is not written over."""
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / LOCK).symlink_to(tmp_path / "notes.txt")
    with pytest.raises(MachineError, match="the lock of the output folder cannot be"), locked(str(tmp_path)):
        pass
    assert (tmp_path / "notes.txt").read_text() == "mine"
    refuse_if_held(str(tmp_path))


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file in the way is named as for any output, before the lock."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MachineError, match=f"{tmp_path / 'file'} is a file, not a folder"):
        taken(tmp_path / "file")


def test_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the name of the holder cannot be written, that is an error of the machine, and nobody is kept out."""

    def refuse(handle: int, content: bytes, place: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "pwrite", refuse)
    with pytest.raises(MachineError, match="No space left on device"), locked(str(tmp_path)):
        pass
    monkeypatch.undo()
    assert taken(tmp_path) == []


def test_user_who_is_not_there_is_a_name(tmp_path: Path) -> None:
    """`~nobody` of an unknown user is a folder of that name, as for the outputs."""
    with locked("~no-such-user"):
        assert (tmp_path / "~no-such-user" / LOCK).is_file()


def test_nothing_heavy_is_imported() -> None:
    """A second training is refused before the slow imports."""
    code = "import forgeml.training.lock, sys; print(*{'torch', 'transformers', 'numpy'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
