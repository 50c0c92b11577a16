"""Runs that are killed, and runs that go on."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import REPOSITORY
from forgeml.errors import MachineError, Stopped
from forgeml.events import Event, Note, Progress
from forgeml.inference.files import chunks, resuming
from forgeml.inference.files.columns import Wanted
from forgeml.inference.files.outputs import open_output
from forgeml.inference.files.resuming import PartFile, Reached
from scored_files import SCORER, read, score, write

TESTS = REPOSITORY / "tests"
ROWS = [{"text": "good film" if number % 3 else "bad, bad\nfilm", "n": str(number)} for number in range(430)]


def _run(source: str, output: str, where: str, count: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TESTS / "killed.py"), str(TESTS), source, output, where, str(count)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def _points(kind: str) -> list[tuple[str, int]]:
    points = [("predict", 1), ("predict", 4), ("fsync", 1), ("fsync", 6), ("fsync", 7), ("encode", 9)]
    return [*points, ("merge", 2)] if kind == "parquet" else points


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "json", "jsonl", "parquet"])
def test_killed_run_goes_on_to_the_same_bytes(kind: str, tmp_path: Path) -> None:
    """Wherever `kill -9` strikes, the same call loses no row, doubles none, and ends with the bytes of a whole run."""
    write(tmp_path / "in.jsonl", ROWS)
    assert _run("in.jsonl", f"whole.{kind}", "predict", 0).returncode == 0
    whole = (tmp_path / f"whole.{kind}").read_bytes()
    assert [row["n"] for row in read(tmp_path / f"whole.{kind}")] == [row["n"] for row in ROWS]
    for where, count in _points(kind):
        output = tmp_path / f"out.{kind}"
        assert _run("in.jsonl", output.name, where, count).returncode == -signal.SIGKILL
        assert not output.exists()
        done = _run("in.jsonl", output.name, where, 0)
        assert done.returncode == 0, done.stderr
        assert output.read_bytes() == whole, (where, count)
        if count > 3 or where == "merge":
            assert int(done.stdout) > 0, (where, count)
        assert sorted(path.name for path in tmp_path.glob("out*")) == [output.name]
        output.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["in.csv", "in.parquet", "in.json"])
def test_killed_twice_it_still_goes_on(source: str, tmp_path: Path) -> None:
    """A run that goes on and is killed again is gone on with from there, whatever kind is read."""
    write(tmp_path / source, ROWS)
    assert _run(source, "whole.jsonl", "predict", 0).returncode == 0
    for _ in range(2):
        assert _run(source, "out.jsonl", "predict", 4).returncode == -signal.SIGKILL
    done = _run(source, "out.jsonl", "predict", 0)
    assert int(done.stdout) == 300
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.fixture
def unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """`in.csv`, of which a run that was stopped has scored some chunks into `out.csv.part`, and what it told."""
    monkeypatch.setattr(chunks, "ROWS_AT_ONCE", 50)
    write(tmp_path / "in.csv", ROWS)

    class Stopping(list[Event]):
        def append(self, event: Event) -> None:
            super().append(event)
            if isinstance(event, Progress) and event.task == "score" and event.rows == 200:
                raise Stopped(signal.SIGINT)

    told = Stopping()
    with pytest.raises(Stopped):
        score("in.csv", "out.csv", told=told)
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.csv.part", "out.csv.part.json"]
    return told


def test_stopped_run_says_how_to_go_on(unfinished: list[Event]) -> None:
    """Ctrl-C loses nothing, and tells so; the next run tells what was done already."""
    said = "200 rows done and kept beside out.csv; run the same command again to go on behind them"
    assert Note("output", said) in unfinished
    told: list[Event] = []
    scored = score("in.csv", "out.csv", told=told)
    assert (scored.continued_from, scored.rows) == (200, 430)
    assert Note("output", "200 rows done by an earlier run; going on behind them") in told
    assert [row["n"] for row in read(Path("out.csv"))] == [row["n"] for row in ROWS]


def test_other_input_begins_anew(unfinished: list[Event]) -> None:
    """What was scored of a file that has changed is thrown away, and that is told."""
    rows = [{**row, "n": f"new {row['n']}"} for row in ROWS]
    write(Path("in.csv"), rows)
    _assert_anew("another input")
    assert [row["n"] for row in read(Path("out.csv"))] == [row["n"] for row in rows]


def test_other_options_begin_anew(unfinished: list[Event]) -> None:
    """Half a file with one layout and half with another is of no use."""
    _assert_anew("other options", wanted=Wanted(scores=True))


def test_other_model_begins_anew(unfinished: list[Event]) -> None:
    """The answers of two models never stand in one file."""
    told: list[Event] = []
    other = type(SCORER)("single_label", ("neg", "pos"), "another one", False, ("text",))
    assert score("in.csv", "out.csv", other, told).continued_from == 0
    assert Note("output", "out.csv.part was begun with another model, so the work begins anew", warning=True) in told


def _assert_anew(why: str, **job: Wanted) -> None:
    told: list[Event] = []
    assert score("in.csv", "out.csv", told=told, **job).continued_from == 0
    assert Note("output", f"out.csv.part was begun with {why}, so the work begins anew", warning=True) in told


@pytest.mark.parametrize("damage", ["{", "{}", "[]", '{"key": 1, "rows": 5}'])
def test_damaged_note_begins_anew(damage: str, unfinished: list[Event]) -> None:
    """What cannot be trusted is not gone on with."""
    Path("out.csv.part.json").write_text(damage)
    told: list[Event] = []
    assert score("in.csv", "out.csv", told=told).continued_from == 0
    assert len(read(Path("out.csv"))) == len(ROWS)


def test_part_that_was_cut_begins_anew(unfinished: list[Event]) -> None:
    """A part file that holds less than its note says is not gone on with."""
    os.truncate("out.csv.part", 10)
    assert score("in.csv", "out.csv").continued_from == 0
    assert len(read(Path("out.csv"))) == len(ROWS)


def test_two_runs_never_write_one_file(tmp_path: Path) -> None:
    """The second one is refused while the first is at work."""
    with PartFile(tmp_path / "out.csv", {"a": "b"}), pytest.raises(MachineError, match="another run is writing it"):
        PartFile(tmp_path / "out.csv", {"a": "b"}).__enter__()


def test_result_of_another_run_is_not_taken_for_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that waits at the door while another one finishes does not cut off what that one has written."""
    part, lock = tmp_path / "out.csv.part", fcntl.flock

    def finishing(file: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        part.write_text("whole")
        part.replace(tmp_path / "out.csv")
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", finishing)
    with PartFile(tmp_path / "out.csv", None):
        pass
    assert (tmp_path / "out.csv").read_text() == "whole"


def test_notes_are_spaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many quick pieces do not each wait for the disk; the last ones are noted when the run ends."""
    written: list[int] = []
    monkeypatch.setattr(PartFile, "_write_note", lambda part: written.append(part.reached.rows))
    with PartFile(tmp_path / "out.csv", {"a": "b"}) as part:
        part._noted_at = time.monotonic()
        for rows in range(1, 1000):
            part.append(b"x", Reached(rows))
        assert len(written) < 5
    assert written[-1] == 999


def test_full_disk_is_told_and_nothing_is_lost(unfinished: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    """No space left is an error of the machine that says what to do; the next run goes on."""

    def full(part: PartFile, piece: bytes, reached: Reached) -> None:
        with resuming.disk_errors(part.part):
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(PartFile, "append", full)
        with pytest.raises(MachineError, match="No space left on device\n  fix: make room there, and run the same"):
            score("in.csv", "out.csv")
    assert score("in.csv", "out.csv").continued_from == 200


def test_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    """An error of the machine, in words."""
    with pytest.raises(MachineError, match="cannot be written: No such file or directory"):
        PartFile(tmp_path / "nowhere" / "out.csv", None).__enter__()


def test_stream_leaves_no_part_when_it_fails(tmp_path: Path) -> None:
    """What comes from a pipe cannot be gone on with, so nothing is kept."""
    with pytest.raises(KeyError), open_output(tmp_path / "out.csv", None, True, None) as output:
        output.append(b"text\n", Reached(1))
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def _louder(part: Path, whole: Path) -> None:
    whole.write_bytes(part.read_bytes().upper())


def test_pipes_get_pieces_at_once_or_all_at_the_end() -> None:
    """A kind that is merged from its pieces comes whole; others come as they are made."""
    got: list[bytes] = []
    with open_output(None, got.append, True, None) as output:
        output.append(b"a", Reached(1))
        assert got == [b"a"]
        output.finish(b"z", None)
    assert b"".join(got) == b"az"
    got.clear()
    with open_output(None, got.append, False, None) as output:
        output.append(b"a", Reached(1))
        output.append(b"b", Reached(2))
        assert got == []
        output.finish(b"", _louder)
    assert got == [b"AB"]


def test_note_names_no_more_than_it_needs(unfinished: list[Event]) -> None:
    """What is kept beside the output tells how far it is, and holds no texts."""
    said = json.loads(Path("out.csv.part.json").read_text())
    assert (said["rows"], said["bytes"]) == (200, Path("out.csv.part").stat().st_size)
    assert "good film" not in json.dumps(said)
