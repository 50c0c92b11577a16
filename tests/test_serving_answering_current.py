"""Which model answers."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forgeml.errors import ModelError
from forgeml.serving.answering.current import Current
from forgeml.serving.answering.served import Opening, Served
from forgeml.serving.limits import Limits


@pytest.fixture
def opened() -> Iterator[Callable[..., Current]]:
    """Makes holders of a folder's model, which are closed at the end; what they tell is in their `told`."""
    made: list[Current] = []

    def make(folder: Path, watch_s: float = 0.05) -> Current:
        told: list[str] = []

        def on_change(served: Served | None, result: str) -> None:
            told.append(result)

        how = Opening(str(folder), "auto", "auto", Limits())
        current = Current(how, watch_s, lambda texts, tokens, seconds: None, on_change)
        current.told = told  # type: ignore[attr-defined]
        made.append(current)
        return current

    yield make
    for current in made:
        current.close()


def _until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def _change(folder: Path, **entries: object) -> None:
    manifest = json.loads((folder / "forgeml.json").read_text())
    (folder / "forgeml.json").write_text(json.dumps(manifest | entries))


def test_nothing_answers_before_it_is_loaded(saved: Path, opened: Callable[..., Current]) -> None:
    """The state is loading until the model is there, and then ready with its version."""
    current = opened(saved)
    assert (current.status().state, current.served) == ("loading", None)
    current.start()
    _until(lambda: current.status().state == "ready")
    assert current.served is not None
    assert current.status().version == current.served.facts.version
    current.drain()
    assert current.status().state == "draining"


def test_a_folder_that_cannot_be_opened(tmp_path: Path, saved: Path, opened: Callable[..., Current]) -> None:
    """The state says why; opened at once it is an error; and a folder that comes later is taken."""
    current = opened(tmp_path / "later")
    current.start()
    _until(lambda: current.status().state == "failed")
    assert "no such folder" in (current.status().problem or "")
    with pytest.raises(ModelError):
        opened(tmp_path / "nowhere").load()
    shutil.copytree(saved, tmp_path / "later")
    _until(lambda: current.status().state == "ready")


def test_a_replaced_folder_is_taken(saved: Path, opened: Callable[..., Current]) -> None:
    """A folder that has changed answers in the place of the one before, with another version."""
    current = opened(saved)
    current.load()
    before = current.served
    assert before is not None
    _change(saved, metrics={})
    _until(lambda: current.served is not before)
    assert current.status().version != before.facts.version
    assert current.told == ["loaded", "reloaded"]  # type: ignore[attr-defined]


def test_a_bad_folder_changes_nothing(saved: Path, tmp_path: Path, opened: Callable[..., Current]) -> None:
    """Half a copy, a damaged file or no folder at all leave the old model in place, and the status says why."""
    current = opened(saved)
    current.load()
    before = current.served
    good = tmp_path / "good"
    shutil.copytree(saved, good)
    for spoil in (
        lambda: (saved / "model.safetensors").unlink(),
        lambda: (saved / "model.safetensors").write_bytes((good / "model.safetensors").read_bytes()[:-100]),
        lambda: shutil.rmtree(saved),
    ):
        count = len(current.told)  # type: ignore[attr-defined]
        spoil()
        _until(lambda count=count: len(current.told) > count)  # type: ignore[attr-defined, misc]
        assert current.served is before
        assert (current.status().state, bool(current.status().problem)) == ("ready", True)
    shutil.copytree(good, saved)
    _change(saved, metrics={})
    _until(lambda: current.served is not before)
    assert current.status().problem is None


def test_no_watch_no_change(saved: Path, opened: Callable[..., Current]) -> None:
    """With 0 seconds the folder is never looked at again."""
    current = opened(saved, watch_s=0)
    current.load()
    before = current.served
    _change(saved, metrics={})
    time.sleep(0.5)
    assert current.served is before
