"""Folders that are whole or not there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from forgeml.data import cache
from forgeml.data.cache import folder_of, forget, kept


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of each test."""
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def _write(folder: Path) -> None:
    (folder / "content").write_text("whole")


def _refuse(folder: Path) -> None:
    raise AssertionError("built again")


def test_content_is_built_once_for_each_key(place: Path) -> None:
    """The second asking finds what the first has built; another key or kind has content of its own."""
    first = kept("tokens", ["a", 1], _write)
    assert first is not None
    assert (first / "content").read_text() == "whole"
    assert kept("tokens", ["a", 1], _refuse) == first == folder_of("tokens", ["a", 1])
    assert len({first, kept("tokens", ["a", 2], _write), kept("texts", ["a", 1], _write)}) == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_breaks_off_leaves_nothing(place: Path, error: type[BaseException]) -> None:
    """An error or a stop while building is passed on, and there is no entry, not even half of one."""

    def build(folder: Path) -> None:
        _write(folder)
        raise error

    with pytest.raises(error):
        kept("tokens", "key", build)
    assert list((place / "tokens").iterdir()) == []


def test_full_disk_is_no_cache(place: Path) -> None:
    """Where the content cannot be written there is none, and nothing is left."""

    def build(folder: Path) -> None:
        _write(folder)
        raise OSError(28, "No space left on device")

    assert kept("tokens", "key", build) is None
    assert list((place / "tokens").iterdir()) == []


def test_place_that_is_taken_is_no_cache(place: Path) -> None:
    """A file where the cache's folder would be is no error."""
    place.write_text("no folder")
    assert kept("tokens", "key", _write) is None


def test_faster_run_wins(place: Path) -> None:
    """When another run has written the entry meanwhile, its content is used."""

    def build(folder: Path) -> None:
        _write(folder)
        rival = folder_of("tokens", "key")
        rival.mkdir()
        (rival / "content").write_text("the other's")

    found = kept("tokens", "key", build)
    assert found is not None
    assert (found / "content").read_text() == "the other's"
    assert list((place / "tokens").iterdir()) == [found]


def test_forgotten_content_is_built_again() -> None:
    """After `forget` there is no entry; forgetting what is not there is no error."""
    found = kept("tokens", "key", _write)
    assert found is not None
    forget(found)
    forget(found)
    assert not found.exists()
    assert kept("tokens", "key", _write) == found


def test_unused_content_is_removed_after_a_while() -> None:
    """What nothing has read for a month goes when something new is written; what is read stays."""
    old, read = kept("tokens", "old", _write), kept("tokens", "read", _write)
    assert old is not None
    assert read is not None
    long_ago = time.time() - (cache.UNUSED_DAYS + 1) * 24 * 3600
    for folder in (old, read):
        os.utime(folder, (long_ago, long_ago))
    kept("tokens", "read", _refuse)
    kept("tokens", "new", _write)
    assert not old.exists()
    assert read.exists()
