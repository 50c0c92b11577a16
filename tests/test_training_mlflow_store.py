"""The calls to MLflow: which store an address means, and what is left behind in the process."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from forgeml.training.mlflow_store import apart, check_sqlite, is_refused, store_uri


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


def test_apart_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the caller hold, ours go away afterwards, and so does every change to the random numbers."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "33")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    before, state = dict(os.environ), random.getstate()
    with apart():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "33"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
        os.environ["MLFLOW_TRACKING_URI"] = "elsewhere"
        random.random()
    assert dict(os.environ) == before
    assert random.getstate() == state


def test_only_the_answer_that_records_are_bad_is_a_refusal() -> None:
    """A server that is away or broken may take the same records later; one that says they are bad will not."""
    assert is_refused(MlflowException("bad", error_code=1000))
    assert not is_refused(MlflowException("broken"))
    assert not is_refused(OSError("away"))
