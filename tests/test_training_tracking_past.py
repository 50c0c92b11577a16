"""A run that goes on: what was told before is not told again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from forgeml.training.holder import Holder
from forgeml.training.tracking.journal import FOLDER, Journal, read_journal
from forgeml.training.tracking.past import Past, begin, go_on
from forgeml.training.tracking.records import Metrics, Opened, Params, Record, Start, Tags, Whole

START = Start("0123456789", "sqlite:////x/mlflow.db", "forgeml", "first", 1_000, {}, Holder.this())
TOLD: list[Record] = [
    Params({"seed": "1", "epochs": "3"}),
    Metrics({"loss": 0.5, "train.examples_per_second": 10.0}, 1, 1_000),
    Metrics({"loss": 0.25, "train.examples_per_second": 10.0}, 2, 2_000),
]


def _past(folder: Path, step: int) -> Past:
    journal = begin(folder, START).journal
    journal.append(TOLD)
    told = read_journal(journal.path)
    assert told is not None
    journal.close()
    return Past.of(told, step)


def test_figures_are_new_unless_they_are_the_same(tmp_path: Path) -> None:
    """Equal figures of a repeated step go, so does a new speed; another figure, name or step stays."""
    past = _past(tmp_path, 1)
    again = Metrics({"loss": 0.5, "train.examples_per_second": 99.0}, 1, 9_000)
    assert past.without_known(again) is None
    assert past.without_known(Metrics({"loss": 0.4, "rate": 1.0, "train.examples_per_second": 9.0}, 1, 9_000)) == (
        Metrics({"loss": 0.4, "rate": 1.0}, 1, 9_000)
    )
    new = Metrics({"loss": 0.5, "train.examples_per_second": 99.0}, 3, 9_000)
    assert past.without_known(new) == new


def test_only_steps_that_may_come_again_are_remembered(tmp_path: Path) -> None:
    """A long run before the checkpoint takes no memory."""
    assert [step for step, name in _past(tmp_path, 2).figures] == [2, 2]


def test_settings_that_are_the_same_go(tmp_path: Path) -> None:
    """Only a changed setting is told; tags are told again, which changes nothing."""
    past = _past(tmp_path, 1)
    assert past.without_known(Params({"seed": "1", "epochs": "4"})) == Params({"epochs": "4"})
    assert past.without_known(Params({"seed": "1"})) is None
    assert past.without_known(Tags({"device": "cpu"})) == Tags({"device": "cpu"})


def test_new_run_knows_nothing(tmp_path: Path) -> None:
    """All it tells is new."""
    assert Past().without_known(TOLD[1]) == TOLD[1]
    begun = begin(tmp_path, START)
    assert (begun.run_id, begun.continued) == ("", False)


def test_run_goes_on_in_its_journal(tmp_path: Path) -> None:
    """What the store may lack is sent first; what it has for certain is not."""
    journal = begin(tmp_path / FOLDER, START).journal
    journal.append([Opened("r1"), TOLD[0], Whole(), *TOLD[1:]])
    journal.close()
    begun = go_on(tmp_path / FOLDER, START, "", 2)
    assert (begun.run_id, begun.continued, begun.journal.path) == ("r1", True, journal.path)
    assert begun.past.unsent == tuple(TOLD[1:])


def test_run_that_goes_on_in_another_store_is_sent_whole(tmp_path: Path) -> None:
    """What one store has for certain, the other lacks."""
    journal = begin(tmp_path / FOLDER, START).journal
    journal.append([Opened("r1"), *TOLD, Whole()])
    journal.close()
    begun = go_on(tmp_path / FOLDER, replace(START, store="http://there"), "r1", 2)
    assert begun.past.unsent == tuple(TOLD)


def test_run_goes_on_without_its_journal(tmp_path: Path) -> None:
    """A journal that was removed, or that another process has, is begun anew; the run is that of the checkpoint."""
    held = begin(tmp_path / "held" / FOLDER, START).journal
    for folder in (tmp_path / "empty" / FOLDER, tmp_path / "held" / FOLDER):
        begun = go_on(folder, Start(START.key, "", "", "", 5_000, {}, Holder.this()), "r1", 2)
        assert begun.journal.path != held.path
        told = read_journal(begun.journal.path)
        assert told is not None
        assert (begun.run_id, told.run_id, begun.past) == ("r1", "r1", Past())
        begun.journal.close()


def test_other_runs_of_the_folder_are_not_taken(tmp_path: Path) -> None:
    """Neither one whose key begins alike, nor a file that is no journal."""
    alike = Start("01234567xx", "", "", "", 1_000, {}, Holder.this())
    Journal.begin(tmp_path / FOLDER, alike).close()
    (tmp_path / FOLDER / "20200101-000000-01234567.jsonl").write_text("{}\n")
    begun = go_on(tmp_path / FOLDER, Start(START.key, "", "", "", 5_000, {}, Holder.this()), "", 2)
    assert begun.run_id == ""
    assert begun.journal.path.name.startswith("19700101-000005")
