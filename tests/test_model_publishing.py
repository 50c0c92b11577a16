"""Folders that move to their place in one step."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from forgeml import folders
from forgeml.errors import MachineError, Stopped
from forgeml.model import publishing
from forgeml.model.publishing import beside, check_place, exchange, publish, remove_stale, writing

SIZE = 200_000


def write(folder: Path, mark: str) -> Path:
    """A folder with the files of a saved model, all of one sign."""
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text(mark * SIZE)
    return folder


def marks(folder: Path) -> set[str]:
    """The signs in the files of a folder."""
    return {sign for file in folder.iterdir() for sign in file.read_text()}


def test_new_place_is_filled(tmp_path: Path) -> None:
    """Where nothing stood the folder stands afterwards, and nothing is left beside it."""
    publish(write(tmp_path / "prepared", "a"), tmp_path / "place")
    assert marks(tmp_path / "place") == {"a"}
    assert os.listdir(tmp_path) == ["place"]


def test_old_folder_gives_way(tmp_path: Path) -> None:
    """Nothing of the old folder is left, inside or beside."""
    place = write(tmp_path / "place", "a")
    (place / "old.txt").write_text("a")
    publish(write(tmp_path / "prepared", "b"), place)
    assert marks(place) == {"b"}
    assert os.listdir(tmp_path) == ["place"]


def test_old_folder_can_be_kept(tmp_path: Path) -> None:
    """It gets the next number, and so does the one after it; numbers that are gone are not used again."""
    place = write(tmp_path / "place", "a")
    publish(write(tmp_path / "prepared", "b"), place, keep_old=True)
    publish(write(tmp_path / "prepared", "c"), place, keep_old=True)
    assert [marks(tmp_path / name) for name in ("place", "place.1", "place.2")] == [{"c"}, {"a"}, {"b"}]
    shutil.rmtree(tmp_path / "place.1")
    publish(write(tmp_path / "prepared", "d"), place, keep_old=True)
    assert sorted(os.listdir(tmp_path)) == ["place", "place.2", "place.3"]
    assert marks(tmp_path / "place.3") == {"c"}


def test_nothing_is_kept_where_nothing_was(tmp_path: Path) -> None:
    """An empty folder and none at all are no older model."""
    (tmp_path / "place").mkdir()
    publish(write(tmp_path / "prepared", "a"), tmp_path / "place", keep_old=True)
    publish(write(tmp_path / "prepared", "b"), tmp_path / "other", keep_old=True)
    assert sorted(os.listdir(tmp_path)) == ["other", "place"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_kill_while_the_old_one_is_kept(tmp_path: Path, moment: str) -> None:
    """On either side of the exchange both models are whole, under names that nobody cleans up."""
    place = write(tmp_path / "place", "a")
    write(tmp_path / "prepared", "b")
    script = (
        "import os, sys; from pathlib import Path; from forgeml.model import publishing\n"
        "exchange = publishing.exchange\n"
        "def deadly(one, other):\n"
        "    if sys.argv[3] == 'after': exchange(one, other)\n"
        "    os._exit(9)\n"
        "publishing.exchange = deadly\n"
        "publishing.publish(Path(sys.argv[1]), Path(sys.argv[2]), keep_old=True)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "prepared"), str(place), moment]
    assert subprocess.run(command, check=False).returncode == 9
    remove_stale(place)
    old, new = (place, tmp_path / "place.1") if moment == "before" else (tmp_path / "place.1", place)
    assert (marks(old), marks(new)) == ({"a"}, {"b"})
    assert sorted(os.listdir(tmp_path)) == ["place", "place.1"]


def test_failed_exchange_gives_the_new_one_its_name_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the old model cannot be moved, it stands, and the new one is where it was prepared."""
    place = write(tmp_path / "place", "a")

    def refuse(one: Path, other: Path) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(publishing, "exchange", refuse)
    with pytest.raises(MachineError, match="Permission denied"):
        publish(write(tmp_path / "prepared", "b"), place, keep_old=True)
    assert (marks(place), marks(tmp_path / "prepared")) == ({"a"}, {"b"})
    assert sorted(os.listdir(tmp_path)) == ["place", "prepared"]


def test_link_in_the_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """A symbolic link gives way; the folder that it leads to is left alone."""
    elsewhere = write(tmp_path / "elsewhere", "a")
    (tmp_path / "place").symlink_to(elsewhere)
    publish(write(tmp_path / "prepared", "b"), tmp_path / "place")
    assert marks(tmp_path / "place") == {"b"}
    assert not (tmp_path / "place").is_symlink()
    assert marks(elsewhere) == {"a"}


def test_reader_always_finds_a_whole_file(tmp_path: Path) -> None:
    """During 50 replacements every open and read finds a file of one version in full."""
    place = write(tmp_path / "place", "a")
    seen: set[str] = set()
    failures: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                text = (place / "model.safetensors").read_text()
                assert text == text[0] * SIZE
                seen.add(text[0])
        except (OSError, AssertionError, IndexError) as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(50):
        publish(write(tmp_path / "prepared", "ba"[turn % 2]), place)
    stop.set()
    reader.join()
    assert failures == []
    assert seen == {"a", "b"}


def test_kill_before_the_move_leaves_the_old_folder(tmp_path: Path) -> None:
    """A process that dies between writing and moving has changed nothing at the place."""
    place = write(tmp_path / "place", "a")
    write(tmp_path / "prepared", "b")
    script = (
        "import os, sys; from pathlib import Path; from forgeml.model import publishing\n"
        "publishing.exchange = lambda one, other: os._exit(9)\n"
        "publishing.publish(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "prepared"), str(place)], check=False)
    assert done.returncode == 9
    assert marks(place) == {"a"}


def test_failed_move_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk refuses, the old folder stands and the error names the place."""
    place = write(tmp_path / "place", "a")

    def refuse(one: Path, other: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publishing, "exchange", refuse)
    with pytest.raises(MachineError, match="No space left") as caught:
        publish(write(tmp_path / "prepared", "b"), place)
    assert caught.value.problems[0].where == str(place)
    assert marks(place) == {"a"}


@pytest.fixture
def without_renameat2(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that cannot swap two folders in one move."""
    monkeypatch.setattr(publishing.ctypes, "CDLL", lambda *arguments, **more: object())


@pytest.mark.usefixtures("without_renameat2")
def test_exchange_in_three_moves(tmp_path: Path) -> None:
    """Where the system has no swap, three moves do the same."""
    one, other = write(tmp_path / "one", "a"), write(tmp_path / "other", "b")
    exchange(one, other)
    assert (marks(one), marks(other)) == ({"b"}, {"a"})
    assert sorted(os.listdir(tmp_path)) == ["one", "other"]


@pytest.mark.usefixtures("without_renameat2")
def test_exchange_in_three_moves_is_taken_back(tmp_path: Path) -> None:
    """When the second move fails, the first one is taken back."""
    other = write(tmp_path / "other", "b")
    with pytest.raises(OSError, match="absent"):
        exchange(tmp_path / "absent", other)
    assert marks(other) == {"b"}


@pytest.mark.usefixtures("without_renameat2")
@pytest.mark.parametrize("move", [1, 2])
def test_stopped_exchange_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, move: int) -> None:
    """An interrupt after the first or the second of three moves leaves both folders where they were."""
    one, other = write(tmp_path / "one", "a"), write(tmp_path / "other", "b")
    monkeypatch.setattr(Path, "rename", _interrupted(Path.rename, move))
    with pytest.raises(KeyboardInterrupt):
        exchange(one, other)
    assert (marks(one), marks(other)) == ({"a"}, {"b"})
    assert sorted(os.listdir(tmp_path)) == ["one", "other"]


def _interrupted(rename: Callable[[Path, Path], Path], move: int) -> Callable[[Path, Path], Path]:
    """The function, with an interrupt right after this call of it."""
    calls: list[Path] = []

    def moving(place: Path, target: Path) -> Path:
        moved = rename(place, target)
        calls.append(target)
        if len(calls) == move:
            raise KeyboardInterrupt
        return moved

    return moving


@pytest.mark.usefixtures("stopping")
def test_stop_after_the_move_finds_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal right after the exchange comes when the old folder is gone."""
    place = write(tmp_path / "place", "a")

    def then_stop(one: Path, other: Path) -> None:
        exchange(one, other)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(publishing, "exchange", then_stop)
    with pytest.raises(Stopped):
        publish(write(tmp_path / "prepared", "b"), place)
    assert marks(place) == {"b"}
    assert os.listdir(tmp_path) == ["place"]


def test_disk_that_cannot_flush_folders_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the folder is in its place, an error in flushing the folder above does not call that failed."""

    def refuse(folder: Path) -> None:
        if folder == tmp_path:
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(publishing, "_flush_folder", refuse)
    publish(write(tmp_path / "prepared", "b"), write(tmp_path / "place", "a"))
    assert marks(tmp_path / "place") == {"b"}
    assert os.listdir(tmp_path) == ["place"]


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyError("name")])
def test_mistakes_in_writing_are_not_the_disk(tmp_path: Path, error: Exception) -> None:
    """Errors that are not about files pass as they are."""
    with pytest.raises(type(error)), writing(tmp_path):
        raise error


def test_rest_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    """What a process left that was killed goes, also what is named after it."""
    script = (
        "import os, sys; from pathlib import Path; from forgeml.model.publishing import beside\n"
        "place = beside(Path(sys.argv[1])); place.mkdir(); place.with_name(place.name + '.new').mkdir()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "place")], check=False)
    assert len(os.listdir(tmp_path)) == 2
    remove_stale(tmp_path / "other")
    assert len(os.listdir(tmp_path)) == 2
    remove_stale(tmp_path / "place")
    assert os.listdir(tmp_path) == []


def test_folders_of_the_living_stay(tmp_path: Path) -> None:
    """This process's own folder, that of a process that runs, and that of another machine are left alone."""
    own = beside(tmp_path / "place").name
    numbered = re.compile(rf"\.{os.getpid()}\.")
    kept = {
        own,
        own + ".new",
        numbered.sub(f".{os.getppid()}.", own),
        numbered.sub(".1.", own),
        own.replace(publishing.HOST, "00000000").replace(publishing.PROCESS, "11111111"),
        ".place.cache",
        "place.aside-1a2b3c4d",
    }
    for name in kept:
        (tmp_path / name).mkdir()
    (tmp_path / own.replace(publishing.PROCESS, "11111111")).mkdir()
    remove_stale(tmp_path / "place")
    assert set(os.listdir(tmp_path)) == kept
    remove_stale(tmp_path / "absent" / "place")


def test_fresh_names_differ_and_lie_beside(tmp_path: Path) -> None:
    """Two writers never get the same name, and both names are on the disk of the place."""
    first, second = beside(tmp_path / "place"), beside(tmp_path / "place")
    assert first != second
    assert first.parent == second.parent == tmp_path


def test_free_places_are_accepted(tmp_path: Path) -> None:
    """A place that is absent, also deeply, empty, or held by a saved model may be used."""
    check_place(tmp_path / "absent")
    check_place(tmp_path / "a" / "b" / "c")
    check_place(Path("relative"))
    (tmp_path / "empty").mkdir()
    check_place(tmp_path / "empty")
    check_place(write(tmp_path / "saved", "a"))


def test_what_is_not_a_saved_model_is_refused(tmp_path: Path) -> None:
    """Folders with other things, files and dangling links are not replaced."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("mine")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "config.json").write_text("{}")
    (write(tmp_path / "repository", "a") / ".git").mkdir()
    for name in ("file", "link", "notes", "project", "repository"):
        with pytest.raises(MachineError, match="is there and is not a saved model"):
            check_place(tmp_path / name)


def test_place_below_a_file_is_refused(tmp_path: Path) -> None:
    """A path that leads through a file is said to."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MachineError, match="is a file, not a folder"):
        check_place(tmp_path / "file" / "best_model")


@pytest.mark.skipif(os.geteuid() == 0, reason="rights do not bind the superuser")
def test_read_only_parent_is_refused(tmp_path: Path) -> None:
    """A folder that cannot be written to is found before the training."""
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(MachineError, match="no right to write"):
        check_place(tmp_path / "locked" / "best_model")


def test_old_model_of_another_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files could not be removed, which would show only once the new one is trained."""
    place = write(tmp_path / "place", "a")
    monkeypatch.setattr(folders.os, "access", lambda path, mode: Path(path) != place)
    with pytest.raises(MachineError, match=f"no right to write in {place}"):
        check_place(place)


def test_rights_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system says that writing is not allowed, the folder is named."""
    monkeypatch.setattr(folders.os, "access", lambda path, mode: False)
    with pytest.raises(MachineError, match=f"no right to write in {tmp_path}"):
        check_place(tmp_path / "best_model")
