"""The thread that sees when the model's folder is replaced."""

from __future__ import annotations

import queue
import shutil
import time
from pathlib import Path

import pytest

from forgeml.serving.answering.watching import LOOKS_BEFORE_AGAIN, Watch, signature


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file."""
    place = tmp_path / "model"
    place.mkdir()
    (place / "weights").write_text("one")
    return place


def test_the_signature_changes_with_the_folder(folder: Path, tmp_path: Path) -> None:
    """A file written anew, added, taken away or exchanged for one of the same size changes the signature."""
    seen = {signature(folder)}
    (folder / "weights").write_text("two!")
    seen.add(signature(folder))
    (folder / "other").mkdir()
    (folder / "other" / "file").write_text("")
    seen.add(signature(folder))
    (tmp_path / "new").write_text("six!")
    (tmp_path / "new").rename(folder / "weights")
    seen.add(signature(folder))
    shutil.rmtree(folder)
    assert signature(folder) == ()
    assert len(seen) == 4


def test_a_change_is_told_once_it_rests(folder: Path) -> None:
    """While files are being written nothing is told; when they rest the change is told, and once."""
    told: queue.SimpleQueue[float] = queue.SimpleQueue()
    watch = Watch(folder, 0.3, lambda: told.put(time.monotonic()) is None, signature(folder))
    watch.start()
    for number in range(12):
        (folder / "weights").write_text(str(number))
        time.sleep(0.1)
    written = time.monotonic()
    assert told.get(timeout=60) >= written - 0.15
    time.sleep(1)
    watch.stop(60)
    assert told.empty()


def test_a_change_during_the_reading_is_told_again(folder: Path) -> None:
    """What changes while the change before is being dealt with is not lost."""
    told: queue.SimpleQueue[None] = queue.SimpleQueue()

    def read() -> bool:
        if told.empty():
            (folder / "weights").write_text("changed meanwhile")
        told.put(None)
        return True

    watch = Watch(folder, 0.05, read, signature(folder))
    watch.start()
    (folder / "weights").write_text("new")
    deadline = time.monotonic() + 60
    while told.qsize() < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    watch.stop(60)
    assert told.qsize() == 2


def test_what_failed_is_tried_again(folder: Path) -> None:
    """A folder that could not be taken is tried again after some looks, also unchanged, until it could."""
    told: list[float] = []

    def fail_once() -> bool:
        told.append(time.monotonic())
        return len(told) > 1

    watch = Watch(folder, 0.02, fail_once, signature(folder))
    watch.start()
    (folder / "weights").write_text("new")
    time.sleep(2)
    watch.stop(60)
    assert len(told) == 2
    assert told[1] - told[0] > 0.02 * LOOKS_BEFORE_AGAIN / 2
