"""`forgeml sync`."""

from __future__ import annotations

import json
from pathlib import Path

from command import forgeml
from forgeml.training.holder import Holder
from forgeml.training.tracking.journal import Journal
from forgeml.training.tracking.records import Ended, Metrics, Start
from servers import free_port
from tracked import new_store, only


def _left(folder: Path, uri: str) -> None:
    journal = Journal.begin(folder / "tracking", Start("0123456789", uri, "forgeml", "first", 1, {}, Holder.this()))
    journal.append([Metrics({"loss": 0.5}, 1, 2), Ended("KILLED", 3)])
    journal.close()


def test_journals_are_sent_and_told(tmp_path: Path) -> None:
    """In words, and as one document; the second time there is nothing to do."""
    uri = new_store(tmp_path)
    _left(tmp_path / "out", uri)
    answer = forgeml("sync", "out")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("sent")
    assert "KILLED, 1 record" in answer.stdout
    answer = forgeml("sync", "out", "--json")
    (found,) = json.loads(answer.stdout)["journals"]
    assert (found["outcome"], found["records"], answer.returncode) == ("in MLflow already", 1, 0)
    assert len(only(uri).figures) == 1


def test_wrong_usage_is_told_at_once() -> None:
    """A place that is not there is an error of usage, told before anything slow is loaded."""
    answer = forgeml("sync", "absent")
    assert (answer.returncode, answer.stderr.splitlines()[0]) == (2, "absent: no such file or folder")


def test_store_that_is_away_is_an_error_of_the_network(tmp_path: Path) -> None:
    """Exit code 6, with what to do; what there is to say is said on stdout all the same."""
    _left(tmp_path, f"http://127.0.0.1:{free_port()}")
    answer = forgeml("sync", "--json")
    assert answer.returncode == 6
    assert "is not sent" in answer.stderr
    assert "Traceback" not in answer.stderr
    (found,) = json.loads(answer.stdout)["journals"]
    assert (found["outcome"], found["run_id"]) == ("failed", "")


def test_nothing_to_send() -> None:
    """A folder without journals is fine."""
    answer = forgeml("sync")
    assert (answer.returncode, "nothing is to be sent" in answer.stdout) == (0, True), answer.stderr
    assert json.loads(forgeml("sync", "--json").stdout) == {"journals": []}
