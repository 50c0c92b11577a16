"""Journals into runs: the store has afterwards what it would have had, and again after a second time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from forgeml.errors import DataError, HubError, MachineError
from forgeml.training.holder import Holder
from forgeml.training.tracking import journal as journals
from forgeml.training.tracking import syncing
from forgeml.training.tracking.journal import Journal
from forgeml.training.tracking.records import (
    Data,
    Ended,
    Line,
    Metrics,
    Model,
    Opened,
    Params,
    Record,
    Start,
    Tags,
    Whole,
)
from forgeml.training.tracking.store import OpenRun, Store
from forgeml.training.tracking.syncing import Synced, describe, failure, settle, sync
from servers import free_port
from tracked import new_store, only, stored

GONE = replace(Holder.this(), pid=2**22 + 1)
RECORDS: list[Record] = [
    Params({"seed": "1"}),
    Tags({"device": "cpu"}),
    Data("reviews", "abc", {"train": 3}),
    *(Metrics({"loss": 1 / step, "rate": step / 7}, step, 1_000 + step) for step in range(1, 301)),
]


def _start(uri: str) -> Start:
    return Start("0123456789", uri, "reviews", "first", 1_000, {"mlflow.user": "me"}, GONE)


def _left(folder: Path, uri: str, *lines: Line) -> Path:
    """A journal that a process has left, with some lines after its records."""
    journal = Journal.begin(folder / "tracking", _start(uri))
    journal.append([*RECORDS, *lines])
    journal.close()
    return journal.path


def _check(uri: str, status: str, end: int) -> None:
    found = only(uri)
    assert (found.status, found.name, found.times) == (status, "first", (1_000, end))
    wanted = [
        (name, record.step, value, record.time)
        for record in RECORDS
        if isinstance(record, Metrics)
        for name, value in record.values.items()
    ]
    assert found.figures == sorted(wanted)
    assert (found.params, found.data) == ({"seed": "1"}, ["reviews"])
    assert (found.tags["device"], found.tags["mlflow.user"]) == ("cpu", "me")


def test_run_that_was_never_opened_is_made(tmp_path: Path) -> None:
    """With its name, its times, its tags and all its records; the journal has done its work."""
    uri = new_store(tmp_path)
    _left(tmp_path / "out", uri, Ended("FINISHED", 5_000))
    (found,) = sync(tmp_path / "out")
    assert (found.outcome, found.status, found.records, found.problem) == ("sent", "FINISHED", 303, "")
    assert stored(uri).keys() == {found.run_id}
    _check(uri, "FINISHED", 5_000)
    assert sync(tmp_path / "out") == []
    assert list((tmp_path / "out").iterdir()) == []


def test_run_that_was_killed_is_closed(tmp_path: Path) -> None:
    """At the time of its last record. It may be continued, so the journal stays; sending it again changes nothing."""
    uri = new_store(tmp_path)
    path = _left(tmp_path, uri)
    content = path.read_bytes()
    for again in (False, True):
        (found,) = sync(path)
        assert (found.outcome, found.status) == ("sent", "KILLED")
        _check(uri, "KILLED", 1_300)
        (known,) = sync(path)
        assert (known.outcome, known.run_id, known.status) == ("in MLflow already", found.run_id, "KILLED")
        if not again:
            # As if the process had died before it could note what it had sent.
            path.write_bytes(content)


@pytest.mark.parametrize("known", [True, False])
def test_run_that_has_a_part_gets_the_rest(known: bool, tmp_path: Path) -> None:
    """What had arrived is not doubled, whether the run's id is in the journal or its answer was lost."""
    uri = new_store(tmp_path)
    run = Store.at(uri).create(_start(uri))
    run.send(RECORDS[:150])
    _left(tmp_path, uri, *([Opened(run.run_id)] if known else []))
    (found,) = sync(tmp_path)
    assert found.run_id == run.run_id
    _check(uri, "KILLED", 1_300)


def test_sync_that_was_cut_off_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that goes away in the middle leaves the journal; the next time the rest arrives, and nothing twice."""
    uri, send, calls = new_store(tmp_path), OpenRun.send, 0

    def away(run: OpenRun, records: list[Record]) -> None:
        nonlocal calls
        calls += 1
        send(run, records)
        if calls == 2:
            raise ConnectionError("the answer was lost")

    _left(tmp_path, uri, Ended("FINISHED", 5_000))
    monkeypatch.setattr(OpenRun, "send", away)
    (found,) = sync(tmp_path)
    assert (found.outcome, found.problem, found.status) == ("failed", "the answer was lost", "FINISHED")
    (found,) = sync(tmp_path)
    assert found.outcome == "sent"
    _check(uri, "FINISHED", 5_000)


def test_other_address_wins(tmp_path: Path) -> None:
    """A wrong address, or one that has moved, is named at the command; even a journal that was sent goes there."""
    uri, other = new_store(tmp_path), new_store(tmp_path, "other.db")
    _left(tmp_path, "http://[::1")
    (found,) = sync(tmp_path)
    assert found.outcome == "failed"
    for address in (uri, other):
        (found,) = sync(tmp_path, address)
        assert (found.outcome, found.store) == ("sent", address)
        _check(address, "KILLED", 1_300)


def test_run_in_use_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that writes its journal sends it itself; where no locks are, the process's number tells."""
    uri = new_store(tmp_path)
    held = Journal.begin(tmp_path / "tracking", _start(uri))
    (found,) = sync(tmp_path)
    assert found.outcome == "in use"
    held.append([replace(_start(uri), owner=Holder.this())])
    held.close()

    def refuse(file: int, how: int) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(journals.fcntl, "flock", refuse)
    (found,) = sync(tmp_path)
    assert found.outcome == "in use"
    assert stored(uri) == {}


def test_empty_journal_is_removed(tmp_path: Path) -> None:
    """A process that died before its first line has left nothing to send."""
    (tmp_path / "tracking").mkdir()
    (tmp_path / "tracking" / "x.jsonl").write_text('{"line": "sta')
    (found,) = sync(tmp_path)
    assert found.outcome == "in MLflow already"
    assert sync(tmp_path) == []


def test_model_is_sent_once(trained: Path, tmp_path: Path) -> None:
    """A model that is missing goes to its run; one that is there, be it that its answer was lost, does not go again."""
    uri = new_store(tmp_path)
    model = Model.of(trained / "best_model", ["torch==2"], False)
    path = _left(tmp_path, uri, model, Ended("FINISHED", 5_000))
    content = path.read_bytes()
    (first,) = sync(tmp_path)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    (again,) = sync(tmp_path)
    assert again.model_id == first.model_id
    assert only(uri).models == ["READY"]
    opened = mlflow.pyfunc.load_model(_folder(uri, first.model_id))
    assert opened.predict(pd.DataFrame({"text": ["good"]}))[0]["label"] in {"neg", "pos"}


def _folder(uri: str, model_id: str) -> str:
    return str(mlflow.MlflowClient(uri).get_logged_model(model_id).artifact_location)


def test_half_uploaded_model_is_replaced(trained: Path, tmp_path: Path) -> None:
    """What an upload that broke off has left in the store is taken away."""
    uri = new_store(tmp_path)
    model = Model.of(trained / "best_model", ["torch==2"], False)
    run = Store.at(uri).create(_start(uri))
    run.place_for(model)
    assert only(uri).models == ["PENDING"]
    _left(tmp_path, uri, model, Ended("FINISHED", 5_000))
    sync(tmp_path)
    live = mlflow.MlflowClient(uri).search_logged_models([run.client.get_run(run.run_id).info.experiment_id])
    assert [one.status for one in live] == ["READY"]


def test_other_model_in_its_place_is_not_sent(trained: Path, tmp_path: Path) -> None:
    """The folder may hold the model of a later run by now; that is told, and the records are sent all the same."""
    uri = new_store(tmp_path)
    model = replace(Model.of(trained / "best_model", ["torch==2"], False), fingerprint="other")
    _left(tmp_path, uri, model, Ended("FINISHED", 5_000))
    (found,) = sync(tmp_path)
    assert (found.outcome, found.model_id) == ("sent", "")
    assert found.problem == f"its model is not sent, as it is not in {model.folder} any more"
    _check(uri, "FINISHED", 5_000)


def test_refused_and_damaged_is_counted(tmp_path: Path) -> None:
    """What no store would take, and what cannot be read, is told and holds nothing up."""
    uri = new_store(tmp_path)
    path = _left(tmp_path, uri, Metrics({"bad\nname": 1.0}, 1, 1_001), Ended("KILLED", 1_300))
    content = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([content[0], b"{\n", *content[1:]]))
    (found,) = sync(path)
    assert (found.outcome, found.refused, found.damaged) == ("sent", 1, 1)
    assert "bad" in found.problem
    _check(uri, "KILLED", 1_300)
    topic, text = describe(found)
    assert (topic, text.split("; ")[:3]) == (
        "sent",
        [f"run {found.run_id}, KILLED, 304 records", "1 record not taken", "1 line cannot be read"],
    )


@pytest.mark.parametrize(
    ("address", "kind", "fix"),
    [
        ("http://127.0.0.1:{}", HubError, "see that the store is there"),
        ("http://*********@127.0.0.1:{}", HubError, "--tracking-uri"),
        ("sqlite:////dev/null/x.db", MachineError, "see that the store is there"),
    ],
)
def test_store_that_is_away_is_an_error(
    address: str, kind: type[Any], fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the network or of the machine, with what to do; the journal is as it was."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    path = _left(tmp_path, address.format(free_port()))
    before = path.read_bytes()
    found = sync(path)
    error = failure(found)
    assert type(error) is kind
    assert fix in str(error)
    assert str(path) in str(error)
    assert path.read_bytes() == before


def test_success_is_no_error() -> None:
    """What was sent, known or in use needs no hand."""
    assert failure([Synced("a", outcome) for outcome in ("sent", "in MLflow already", "in use")]) is None


def test_other_file_is_refused(tmp_path: Path) -> None:
    """Before anything is sent."""
    (tmp_path / "reviews.csv").write_text("text,label\n")
    with pytest.raises(DataError, match="is no journal of a run"):
        sync(tmp_path / "reviews.csv")


def test_journal_that_was_sent_may_go_on(tmp_path: Path) -> None:
    """After more lines it is sent again, with nothing doubled."""
    uri = new_store(tmp_path)
    path = _left(tmp_path, uri, Ended("KILLED", 1_300))
    sync(path)
    journal = Journal.reopen(path)
    journal.mend()
    journal.append([_start(uri), Metrics({"loss": 1.0}, 301, 2_000)])
    journal.close()
    (found,) = sync(path)
    assert found.outcome == "sent"
    assert (only(uri).status, len(only(uri).figures)) == ("KILLED", 601)
    assert path.read_bytes().count(b"whole") == 2


def test_whole_journal_has_its_mark(tmp_path: Path) -> None:
    """By which it is known without asking the store."""
    path = _left(tmp_path, "http://nowhere", Ended("KILLED", 1_300), Whole())
    (found,) = sync(path)
    assert found.outcome == "in MLflow already"


CONTENTS = [b'{"text": "no end of a line"}', b"a: 1\nb: 2", b"\0\1\2", b"", b'{"line": "start"']


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("place", ["config.yaml", "tracking/other.jsonl"])
def test_files_that_are_no_journals_stay_as_they_are(content: bytes, place: str, tmp_path: Path) -> None:
    """Be they named or found; only a journal of ours that was cut short in its first line goes."""
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    ours = place.startswith("tracking") and b'{"line": "start", '.startswith(content)
    if path.parent.name == "tracking":
        (found,) = sync(tmp_path)
        assert found.outcome == ("in MLflow already" if ours else "failed")
    else:
        with pytest.raises(DataError, match="is no journal of a run"):
            sync(path)
    assert path.exists() != ours
    assert ours or path.read_bytes() == content


def test_earlier_run_of_a_store_with_a_password_is_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals keep no passwords, so the address is that of the run that looks after them."""
    uri = new_store(tmp_path)
    monkeypatch.setattr(syncing, "hide_secrets", lambda text: text.replace(str(tmp_path), "***"))
    path = _left(tmp_path, uri.replace(str(tmp_path), "***"))
    assert "is KILLED in MLflow now" in settle(path, uri)
    assert only(uri).status == "KILLED"
    assert not path.exists()


def test_earlier_run_gives_way(tmp_path: Path) -> None:
    """A store that is wanted for the end of the run is not kept busy; the journal stays for the next time."""
    uri = new_store(tmp_path)
    path = _left(tmp_path, uri)
    assert settle(path, uri, lambda: True) == ""
    assert path.exists()
