"""A run between its journal and the store: what is said, what is kept, and what earlier runs in the folder left."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from forgeml.training.holder import Holder
from forgeml.training.tracking import journal as journals
from forgeml.training.tracking import sending
from forgeml.training.tracking.journal import Journal, read_journal
from forgeml.training.tracking.past import begin
from forgeml.training.tracking.records import Ended, Metrics, Opened, Params, Record, Start, Whole
from forgeml.training.tracking.run import TrackedRun
from forgeml.training.tracking.store import OpenRun, Store
from tracked import hasten, new_store, only, stored

RECORDS: list[Record] = [Params({"seed": "1"}), *(Metrics({"loss": 1 / step}, step, step) for step in range(1, 6))]


def _start(uri: str, key: str) -> Start:
    return Start(key, uri, "forgeml", f"run-{key}", 1_000, {}, Holder.this())


def _tracked(uri: str, folder: Path, warn: Callable[[str], None], key: str = "0123456789") -> TrackedRun:
    """A run that is open, with some records."""
    run = TrackedRun(begin(folder / "tracking", _start(uri, key)), uri, warn)
    run.open()
    for record in RECORDS:
        run.log(record)
    return run


def _killed(uri: str, folder: Path, key: str) -> Path:
    """What a run leaves that was killed: RUNNING in the store, which lacks the last records; its journal."""
    start = _start(uri, key)
    journal = Journal.begin(folder / "tracking", start)
    run = Store.at(uri).create(start)
    run.send(RECORDS[:3])
    journal.append([Opened(run.run_id), *RECORDS])
    journal.close()
    return journal.path


def test_outage_is_told_once_and_ends_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence when it begins; when all has arrived at the end, there is nothing to say."""
    hasten(monkeypatch)
    uri, told, send = new_store(tmp_path), list[str](), OpenRun.send
    away = True

    def sometimes(run: OpenRun, records: list[Record]) -> None:
        if away:
            raise ConnectionError("nobody there")
        send(run, records)

    monkeypatch.setattr(OpenRun, "send", sometimes)
    run = _tracked(uri, tmp_path, told.append)
    while not told:
        time.sleep(0.01)
        run.log(RECORDS[-1])
    away = False
    run.finish("FINISHED", 10)
    assert len(told) == 1
    assert told[0].startswith("MLflow does not answer, the training goes on and its records wait in ")
    assert [figure[:3] for figure in only(uri).figures] == [("loss", step, 1 / step) for step in range(1, 6)]
    assert not (tmp_path / "tracking").exists()


def test_what_is_missing_is_told_with_the_way_to_send_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the number of records, the reason, the journal and the command."""
    hasten(monkeypatch)
    uri, told = new_store(tmp_path), list[str]()

    def away(run: OpenRun, records: list[Record]) -> None:
        raise ConnectionError("nobody there")

    monkeypatch.setattr(OpenRun, "send", away)
    run = _tracked(uri, tmp_path / "my out", told.append)
    run.finish("FINISHED", 10)
    assert told[-1].startswith(f"6 records of the run {run.run_id} are not in MLflow: nobody there; ")
    assert told[-1].endswith(f"forgeml sync '{tmp_path / 'my out'}'")
    assert only(uri).status == "FINISHED"


def test_run_that_cannot_be_closed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store shows it as running, and the journal knows better."""
    hasten(monkeypatch)
    uri, told = new_store(tmp_path), list[str]()

    def away(run: OpenRun, status: str, time: int) -> None:
        raise ConnectionError("nobody there")

    monkeypatch.setattr(OpenRun, "end", away)
    run = _tracked(uri, tmp_path, told.append)
    run.finish("KILLED", 10)
    assert told[-1].startswith(f"MLflow shows the run {run.run_id} as running, though it is KILLED: nobody there; ")
    journal = read_journal(next((tmp_path / "tracking").iterdir()))
    assert journal is not None
    assert journal.ended is not None
    assert (journal.ended.status, journal.whole) == ("KILLED", False)


def test_journal_that_cannot_be_written_costs_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the store takes all, nothing is lost."""
    uri, told = new_store(tmp_path), list[str]()

    def full(file: int, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journals.os, "write", full)
    run = _tracked(uri, tmp_path, told.append)
    run.finish("FINISHED", 10)
    assert len(told) == 1
    assert "cannot be written, so what MLflow does not take is lost: [Errno 28] No space left" in told[0]
    assert len(only(uri).figures) == 5


def test_more_than_memory_holds_is_in_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is passed by in a long outage is told as missing, though the store is back; the journal is not given up."""
    hasten(monkeypatch)
    monkeypatch.setattr(sending, "MOST_WAITING", 2)
    uri, told, send, away = new_store(tmp_path), list[str](), OpenRun.send, True

    def sometimes(run: OpenRun, records: list[Record]) -> None:
        if away:
            raise ConnectionError("nobody there")
        send(run, records)

    monkeypatch.setattr(OpenRun, "send", sometimes)
    run = _tracked(uri, tmp_path, told.append)
    away = False
    run.finish("FINISHED", 10)
    assert "4 records of the run" in told[-1]
    journal = read_journal(next((tmp_path / "tracking").iterdir()))
    assert journal is not None
    assert journal.records == RECORDS


def test_run_that_was_cut_off_is_settled_by_the_next_one(tmp_path: Path) -> None:
    """The next run in the folder closes it as KILLED at the time it was last heard of, sends its records, says so."""
    uri, told = new_store(tmp_path), list[str]()
    path = _killed(uri, tmp_path, "before")
    ((before, found),) = stored(uri).items()
    assert (found.status, len(found.figures)) == ("RUNNING", 2)
    run = _tracked(uri, tmp_path, told.append)
    while path.exists():
        time.sleep(0.01)
    run.finish("FINISHED", 10)
    assert told == [f"an earlier run in this folder, {before}, is KILLED in MLflow now"]
    found = stored(uri)[before]
    assert (found.status, found.times, len(found.figures)) == ("KILLED", (1_000, 1_000), 5)
    assert not (tmp_path / "tracking").exists()


def test_only_what_is_over_and_belongs_to_this_store_is_settled(tmp_path: Path) -> None:
    """A journal in use, one of another store, and a file that is none are left; one that was sent whole goes."""
    uri, told = new_store(tmp_path), list[str]()
    used = Journal.begin(tmp_path / "tracking", _start(uri, "used"))
    other = Journal.begin(tmp_path / "tracking", _start("http://elsewhere", "other"))
    whole = Journal.begin(tmp_path / "tracking", _start(uri, "whole"))
    whole.append([Ended("KILLED", 1), Whole()])
    other.close()
    whole.close()
    (tmp_path / "tracking" / "data.jsonl").write_text("{}\n")
    run = _tracked(uri, tmp_path, told.append)
    while whole.path.exists():
        time.sleep(0.01)
    run.finish("FINISHED", 10)
    assert told == []
    left = {path.name for path in (tmp_path / "tracking").iterdir()}
    assert left == {"data.jsonl", used.path.name, other.path.name}
    used.close()


def test_state_goes_through_json(tmp_path: Path) -> None:
    """A checkpoint keeps it as text."""
    run = _tracked(new_store(tmp_path), tmp_path, pytest.fail)
    assert json.loads(json.dumps(run.state)) == {"run_id": run.run_id, "key": "0123456789"}
    run.finish("KILLED", 10)
    assert run.run_id
