"""The journal: each line whole, whatever happens to the process or the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from forgeml.errors import DataError
from forgeml.training.holder import Holder
from forgeml.training.tracking import journal as module
from forgeml.training.tracking.journal import Journal, journals_in, read_journal
from forgeml.training.tracking.records import (
    Ended,
    Metrics,
    Model,
    Opened,
    Params,
    Record,
    Start,
    Tags,
    Uploaded,
    Whole,
    encode,
)

START = Start("0123456789", "sqlite:////x/mlflow.db", "forgeml", "first", 86_400_000, {}, Holder.this())
RECORDS: list[Record] = [Params({"seed": "1"}), Metrics({"loss": 0.5}, 1, 2_000), Tags({"device": "cpu"})]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal with a few records, still open."""
    begun = Journal.begin(tmp_path / "out" / "tracking", START)
    begun.append(RECORDS)
    return begun


def test_journal_tells_what_was_written(journal: Journal) -> None:
    """It has a name of its own by time and key, and reads as a run with its records."""
    assert journal.path.name == "19700102-000000-01234567.jsonl"
    told = read_journal(journal.path)
    assert told is not None
    assert (told.start, told.records, told.run_id, told.ended, told.whole) == (START, RECORDS, "", None, False)
    assert told.last_time == START.time


def test_journal_tells_how_far_the_run_has_come(journal: Journal) -> None:
    """Run, model and end are known as they come; what is in the store for certain is counted."""
    model = Model("/best_model", "f", (), False)
    journal.append([Opened("r1"), model, Ended("KILLED", 9_000)])
    told = read_journal(journal.path)
    assert told is not None
    assert (told.run_id, told.model, told.ended, told.taken) == ("r1", model, Ended("KILLED", 9_000), 0)
    journal.append([Uploaded("m-1"), Whole()])
    told = read_journal(journal.path)
    assert told is not None
    assert (told.model, told.model_id, told.taken, told.whole) == (None, "m-1", 3, True)


def test_run_that_goes_on_is_the_same_run(journal: Journal) -> None:
    """Another process may name another store, which has nothing yet; key, name and beginning stay; it has not ended."""
    journal.append([Ended("KILLED", 9_000), Whole()])
    other = Start("other", "http://there", "forgeml", "second", 99_000, {}, replace(Holder.this(), pid=1))
    journal.append([other, Metrics({"loss": 0.25}, 2, 100_000_000)])
    told = read_journal(journal.path)
    assert told is not None
    assert told.start == replace(other, key=START.key, run_name="first", time=START.time)
    assert (told.ended, told.whole, told.taken, len(told.records)) == (None, False, 0, 4)
    assert told.last_time == 100_000_000


def test_journal_cut_anywhere_is_read_to_its_last_whole_line(journal: Journal) -> None:
    """However many bytes arrived, all lines with an end count, and nothing else."""
    content = journal.path.read_bytes()
    lines = content.splitlines(keepends=True)
    cut = journal.path.with_name("cut.jsonl")
    ends = [sum(map(len, lines[: number + 1])) for number in range(len(lines))]
    for size in (0, *range(ends[-2] - 2, ends[-1] + 1), *(end + more for end in ends[:-1] for more in (-1, 0, 1))):
        cut.write_bytes(content[:size])
        told = read_journal(cut)
        whole = content[:size].count(b"\n")
        assert (told is None) == (whole == 0)
        if told:
            assert (told.records, told.damaged) == (RECORDS[: whole - 1], 0)
    assert len(lines) == 4


def test_journal_goes_on_after_a_cut(journal: Journal) -> None:
    """What was cut short is taken away before more is written, so that the next line stands alone."""
    journal.close()
    with journal.path.open("ab") as file:
        file.write(encode(RECORDS[0])[:-4])
    again = Journal.reopen(journal.path)
    again.mend()
    again.append([RECORDS[1]])
    told = read_journal(journal.path)
    assert told is not None
    assert (told.records, told.damaged) == ([*RECORDS, RECORDS[1]], 0)


def test_damaged_line_is_counted_and_the_others_are_read(journal: Journal) -> None:
    """A disk that lost a block costs the lines in it only."""
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(lines[0] + b"\0" * 20 + b"\n" + b"".join(lines[2:]))
    told = read_journal(journal.path)
    assert told is not None
    assert (told.records, told.damaged) == (RECORDS[1:], 1)


def test_full_disk_leaves_whole_lines(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that does not fit is taken away again, the reason is kept, and later lines are written when they fit."""
    write = os.write
    monkeypatch.setattr(module.os, "write", lambda file, content: write(file, content[:10]))
    journal.append([RECORDS[0]])
    monkeypatch.setattr(module.os, "write", write)
    assert "no space left" in journal.problem
    journal.append([RECORDS[2]])
    told = read_journal(journal.path)
    assert told is not None
    assert (told.records, told.damaged) == ([*RECORDS, RECORDS[2]], 0)


def test_place_that_cannot_be_written_is_a_problem_and_no_error(tmp_path: Path) -> None:
    """Without a journal a run is tracked all the same."""
    (tmp_path / "out").write_text("no folder")
    journal = Journal.begin(tmp_path / "out" / "tracking", START)
    journal.append(RECORDS)
    journal.close()
    assert journal.problem


def test_one_process_has_it(journal: Journal) -> None:
    """As long as it is open, nobody else opens it; a process that is gone, be it by kill -9, holds nothing."""
    with pytest.raises(BlockingIOError):
        Journal.reopen(journal.path)
    journal.close()
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom forgeml.training.tracking.journal import Journal\n"
        "journal = Journal.reopen(Path(sys.argv[1]))\nprint('open', flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(journal.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(BlockingIOError):
            Journal.reopen(journal.path)
        other.kill()
        other.wait()
    again = Journal.reopen(journal.path)
    assert again.locked
    again.close()


def test_disk_without_locks_is_fine(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system knows no locks, the journal opens and says so."""
    journal.close()

    def refuse(file: int, how: int) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(module.fcntl, "flock", refuse)
    again = Journal.reopen(journal.path)
    assert not again.locked
    again.close()


def test_removed_journal_takes_its_empty_folder_along(journal: Journal) -> None:
    """A folder with another journal stays."""
    other = Journal.begin(journal.path.parent, replace(START, key="other"))
    journal.remove()
    assert journals_in(journal.path.parent) == [other.path]
    other.remove()
    assert not journal.path.parent.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"text,label\ngood,pos\n", "is no journal of a run"),
        (encode(replace(START, format=2)), "format 2, and this ForgeML reads up to 1"),
    ],
)
def test_other_files_are_refused(content: bytes, says: str, tmp_path: Path) -> None:
    """A file of something else, and a journal of a newer ForgeML, are told with what to do."""
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_journal(tmp_path / "file")


def test_only_journals_are_found(journal: Journal, tmp_path: Path) -> None:
    """By the output folder, by the folder of journals or by name; data files of the same ending are left alone."""
    out = tmp_path / "out"
    (out / "reviews.jsonl").write_text("{}\n")
    for place in (out, out / "tracking", journal.path):
        assert journals_in(place) == [journal.path]
    assert journals_in(tmp_path) == journals_in(tmp_path / "absent") == []
