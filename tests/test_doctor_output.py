"""The output folder in the doctor's report: rights, lock, leavings."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from doctoring import findings, states, wrong
from forgeml.model.publishing import beside
from forgeml.training import lock as locks
from forgeml.training.holder import Holder
from forgeml.training.lock import LOCK, locked
from refusals import snapshot

LEAVE = (
    "import os, sys; from pathlib import Path; from forgeml.model.publishing import beside\n"
    "for name in ('', '.new'):\n"
    "    left = beside(Path(sys.argv[1])); left = left.with_name(left.name + name); left.mkdir()\n"
    "    (left / 'weights').write_bytes(b'x' * 100_000)\n"
)


def test_free_folder_is_fine(tmp_path: Path) -> None:
    """One that is there and one that is not yet; neither is touched."""
    found = findings("output", tmp_path)
    assert states(found) == ["ok", "ok"]
    assert [one.topic for one in found] == ["output", "lock"]
    assert "which is not there yet" in findings("output", tmp_path / "new" / "deep")[0].text
    assert list(tmp_path.iterdir()) == []


def test_place_that_training_would_refuse(tmp_path: Path) -> None:
    """The doctor says what the training would say."""
    (tmp_path / "best_model").mkdir()
    (tmp_path / "best_model" / "notes.txt").write_text("mine")
    one = wrong(findings("output", tmp_path))
    assert (one.state, one.topic) == ("problem", "output")
    assert "is there and is not a saved model" in one.text


def test_training_that_runs(tmp_path: Path) -> None:
    """It is told with its process, and is no problem."""
    with locked(str(tmp_path)):
        found = findings("output", tmp_path)
    assert states(found) == ["ok", "ok"]
    assert found[1].text == f"a training runs there: {Holder.this()}".split(", since")[0] + found[1].text[-31:]
    assert found[1].facts["state"] == "held"


def test_lock_that_was_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose process is gone, and one of another machine, which cannot be seen; both are left as they are."""
    left = replace(Holder.this(), pid=2**22 + 7)
    (tmp_path / LOCK).write_text(json.dumps(asdict(left)))
    before = snapshot(tmp_path)
    one = wrong(findings("output", tmp_path))
    assert (one.state, one.facts["state"], one.facts["pid"]) == ("warning", "gone", 2**22 + 7)
    assert snapshot(tmp_path) == before
    (tmp_path / LOCK).write_text(json.dumps(asdict(replace(left, host="elsewhere", boot="another"))))
    monkeypatch.setattr(locks, "locks_reach_all", lambda folder: False)
    one = wrong(findings("output", tmp_path))
    assert (one.state, one.facts["state"]) == ("warning", "unknown")
    assert one.fix == f"if it does not run any more, remove {tmp_path / LOCK}"


def test_leavings_of_killed_trainings(tmp_path: Path) -> None:
    """Folders that a process was writing when it ended are told with their size; those of the living are not."""
    subprocess.run([sys.executable, "-c", LEAVE, str(tmp_path / "best_model")], check=True)
    beside(tmp_path / "best_model").mkdir()
    one = wrong(findings("output", tmp_path))
    assert (one.topic, one.state, len(one.facts["folders"])) == ("leavings", "warning", 2)
    assert one.facts["bytes"] >= 200_000


@pytest.mark.parametrize("there", [True, False])
def test_model_that_was_moved_aside(tmp_path: Path, there: bool) -> None:
    """A kill between two moves leaves the old model under another name, which may be the only one there is."""
    (tmp_path / "best_model.aside-1a2b3c4d").mkdir()
    if there:
        (tmp_path / "best_model").mkdir()
    one = wrong(findings("output", tmp_path))
    assert ("rename it to best_model" in one.fix) is not there
