"""Copies of hub data sets in the cache, and which of them serves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forgeml.data.reading.prepared import (
    STILL_PREPARING,
    WHOLE,
    choose,
    find_prepared,
    known_default,
    remember_default,
)

OLD, NEW = "a" * 40, "b" * 40


def prepare(cache: Path, place: str, when: int) -> None:
    """Leave a copy that was ready at such a time."""
    folder = cache / place
    folder.mkdir(parents=True)
    (folder / WHOLE).touch()
    os.utime(folder, (when, when))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Two commits of one subset, one of another, a copy that is not whole, and another owner's data set."""
    prepare(tmp_path, f"someone___tweets/irony/0.0.0/{NEW}", 1)
    prepare(tmp_path, f"someone___tweets/irony/0.0.0/{OLD}", 2)
    prepare(tmp_path, f"someone___tweets/hate/0.0.0/{OLD}", 3)
    prepare(tmp_path, f"someone___tweets/irony/0.0.0/{'c' * 40}{STILL_PREPARING}", 4)
    (tmp_path / "someone___tweets" / "irony" / "0.0.0" / ("d" * 40)).mkdir()
    prepare(tmp_path, f"other___tweets/default/0.0.0/{OLD}", 5)
    return tmp_path


def test_whole_copies_are_found_in_the_order_they_were_made(cache: Path) -> None:
    """What a killed process left half prepared must not be among them."""
    copies = find_prepared(cache, "someone", "tweets")
    assert [(copy.subset, copy.commit) for copy in copies] == [("irony", NEW), ("irony", OLD), ("hate", OLD)]
    assert {(copy.repository, copy.version) for copy in copies} == {("someone/tweets", "0.0.0")}
    assert [copy.repository for copy in find_prepared(cache, "*", "tweets")][-1] == "other/tweets"
    assert find_prepared(cache / "nowhere", "*", "tweets") == []


@pytest.mark.parametrize(
    ("subset", "commit", "chosen"),
    [
        ("irony", "", ("irony", OLD)),
        ("irony", NEW, ("irony", NEW)),
        ("hate", OLD[:7], ("hate", OLD)),
        ("hate", NEW, None),
        (None, NEW, ("irony", NEW)),
        # Nobody has said which of two subsets is meant.
        (None, OLD, None),
        (None, "", None),
    ],
)
def test_copy_is_of_the_commit_and_the_subset(
    cache: Path, subset: str | None, commit: str, chosen: tuple[str, str] | None
) -> None:
    """The last one that fits, and none where it would be a guess."""
    copy = choose(find_prepared(cache, "someone", "tweets"), subset, commit)
    assert (copy and (copy.subset, copy.commit)) == chosen


def test_default_subset_is_remembered_for_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the hub has said once of a commit holds for ever, and for that commit alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert known_default("someone/reviews", OLD) is None
    remember_default("someone/reviews", OLD, "plain_text")
    assert known_default("someone/reviews", OLD) == "plain_text"
    assert known_default("someone/reviews", NEW) is None
