"""The calls to MLflow: which store an address means, how runs are found in it, and what it takes."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, ErrorCode

from forgeml.training.holder import Holder
from forgeml.training.tracking.records import Data, Metrics, Params, Record, Start, Tags
from forgeml.training.tracking.store import (
    LONGEST_VALUE,
    OpenRun,
    RefusedError,
    Store,
    check_sqlite,
    is_refusal,
    store_uri,
    whole_uri,
)
from tracked import new_store, stored

START = Start("abc", "", "reviews", "first", 1_000, {"mlflow.user": "me"}, Holder.this())


@pytest.fixture
def run(tmp_path: Path) -> OpenRun:
    """A new run in a new store."""
    return Store.at(new_store(tmp_path)).create(START)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("./mlruns", "sqlite:///mlruns/mlflow.db"),
        ("file:///data/mlruns", "sqlite:////data/mlruns/mlflow.db"),
        ("file:./mlruns", "sqlite:///mlruns/mlflow.db"),
    ],
)
def test_folder_as_store_holds_a_sqlite_file(given: str, wanted: str) -> None:
    """A folder, which MLflow no longer writes to, is where the SQLite file goes; all else is taken as it is."""
    assert store_uri(given) == wanted


def test_home_of_nobody_is_a_folder_name() -> None:
    """A `~` that stands for no user is taken as it is written, as the shell does."""
    assert store_uri("~/runs") == f"sqlite:///{os.environ['HOME']}/runs/mlflow.db"
    assert store_uri("~nosuchuser/x") == "sqlite:///~nosuchuser/x/mlflow.db"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("folder", "unable to open database file"),
        ("text", "file is not a database"),
        ("text/mlflow.db", "text"),
        ("locked.db", "database is locked"),
        ("read-only/mlflow.db", "unable to open database file"),
    ],
)
def test_sqlite_that_cannot_be_written_fails_soon(path: str, reason: str, tmp_path: Path) -> None:
    """Each reason why a SQLite file is no store is told within seconds, with the file's name."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("no database, but long enough to look like one" * 100)
    (tmp_path / "read-only").mkdir(mode=0o500)
    if path.startswith("read-only") and os.access(tmp_path / "read-only", os.W_OK):
        pytest.skip("this user may write everywhere")
    holder = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    with pytest.raises(OSError, match=reason) as caught:
        check_sqlite(f"sqlite:///{tmp_path / path}")
    holder.close()
    assert str(tmp_path) in str(caught.value)
    assert time.monotonic() - started < 5


def test_check_leaves_a_good_store_as_it_is(tmp_path: Path) -> None:
    """The trial writes nothing: an existing file keeps its tables, a new one is empty, other stores are not touched."""
    with sqlite3.connect(tmp_path / "old.db") as database:
        database.execute("CREATE TABLE runs (id)")
    before = (tmp_path / "old.db").read_bytes()
    for uri in (f"sqlite:///{tmp_path}/old.db", f"sqlite:///{tmp_path}/deep/new.db", "sqlite://", "http://nowhere"):
        check_sqlite(uri)
    assert (tmp_path / "old.db").read_bytes() == before
    assert (tmp_path / "deep" / "new.db").read_bytes() == b""
    assert sorted(file.name for file in tmp_path.iterdir()) == ["deep", "old.db"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("sqlite:///mlflow.db", "sqlite:///{}/mlflow.db"),
        ("runs", "sqlite:///{}/runs/mlflow.db"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("http://[::1", "http://[::1"),
    ],
)
def test_whole_address_holds_in_every_folder(given: str, wanted: str) -> None:
    """What a journal keeps of the address is found from another folder, too; what means nothing is kept as it is."""
    assert whole_uri(given) == wanted.format(Path.cwd())


def test_run_is_made_as_it_was_told(run: OpenRun) -> None:
    """Name, time of the beginning, tags and the key are those of the journal."""
    made = run.client.get_run(run.run_id)
    assert (made.info.run_name, made.info.start_time, made.info.status) == ("first", 1_000, "RUNNING")
    assert (made.data.tags["mlflow.user"], made.data.tags["forgeml.key"]) == ("me", "abc")


def test_run_is_found_by_its_id_or_its_key(run: OpenRun) -> None:
    """The key finds it where the id is not known or means nothing; without both there is none, nor is a deleted one."""
    store = Store.at(run.uri)
    stranger = Start("xyz", "", "reviews", "first", 1_000, {}, Holder.this())
    for start, run_id in ((stranger, run.run_id), (START, ""), (START, "0" * 32), (START, "no id")):
        found = store.find(start, run_id)
        assert found is not None
        assert found.run_id == run.run_id
    assert store.find(stranger, "") is None
    run.client.delete_run(run.run_id)
    assert store.find(START, run.run_id) is None


def test_records_sent_twice_are_there_once(run: OpenRun) -> None:
    """All kinds arrive, and sending them again changes nothing."""
    records: list[Record] = [
        Metrics({"loss": 0.1 + 0.2, "rate": 1e-5}, 3, 5_000),
        Params({"seed": "42", "long": "x" * 7_000}),
        Tags({"device": "cpu"}),
        Data("reviews", "f" * 64, {"train": 9}),
    ]
    for _ in range(2):
        run.send(records)
    found = stored(run.uri)[run.run_id]
    assert found.figures == [("loss", 3, 0.1 + 0.2, 5_000), ("rate", 3, 1e-5, 5_000)]
    assert found.params == {"seed": "42", "long": "x" * LONGEST_VALUE}
    assert (found.tags["device"], found.data) == ("cpu", ["reviews"])


@pytest.mark.parametrize(
    "record",
    [Params({"seed": "43"}), Metrics({"bad\nname": 1.0}, 1, 1), Data("reviews", None, {})],  # type: ignore[arg-type]
    ids=["changed setting", "name that MLflow does not take", "digest that is none"],
)
def test_what_is_never_taken_is_refused(run: OpenRun, record: Record) -> None:
    """The error is one of its own, so that it is not tried again."""
    run.send([Params({"seed": "42"})])
    with pytest.raises(RefusedError):
        run.send([record])


def test_deleted_run_refuses_nothing(run: OpenRun) -> None:
    """A run that somebody has deleted may be restored, so its records are not given up."""
    run.client.delete_run(run.run_id)
    with pytest.raises(mlflow.exceptions.MlflowException, match="must be in the 'active' state"):
        run.send([Tags({"device": "cpu"})])


def test_answer_of_a_gateway_is_no_refusal() -> None:
    """Only MLflow's own words are final; a gateway that says 400, or a server that is broken, may change its mind."""
    bad = ErrorCode.Value("BAD_REQUEST")
    assert is_refusal(MlflowException("no such name", INVALID_PARAMETER_VALUE))
    assert is_refusal(MlflowException("too long", bad))
    assert not is_refusal(MlflowException("API request to endpoint /x failed with error code 400 != 200", bad))
    assert not is_refusal(MlflowException("broken"))


def test_run_ends_and_goes_on(run: OpenRun) -> None:
    """The status and the time of the end are those given; a run that goes on is RUNNING again."""
    run.end("KILLED", 9_000)
    info = run.client.get_run(run.run_id).info
    assert (info.status, info.end_time) == ("KILLED", 9_000)
    run.resume()
    assert run.client.get_run(run.run_id).info.status == "RUNNING"
