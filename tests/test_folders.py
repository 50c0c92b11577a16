"""Folders to write into: what is told before anything is written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forgeml import folders
from forgeml.errors import MachineError
from forgeml.folders import FileSystem, check_folder, check_rights, file_system, identity, locks_reach_all, size_of

NOBODY = 65534

MOUNTS = r"""
20 1 254:0 / / rw,relatime - ext4 /dev/root rw
21 20 0:5 / /proc rw - proc proc rw
30 20 0:40 / {place} rw,relatime shared:1 - {kind} server:/export {options}
31 20 0:41 / /elsewhere/with\040blank rw - fuse.sshfs host: rw
"""


def as_nobody(work: Callable[[], object]) -> str:
    """What some work raises when another user than root does it, as words; empty if nothing."""
    if os.geteuid() != 0:
        return _words(work)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.write(writer, _words(work).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, encoding="utf-8") as said:
        return said.read()


def _words(work: Callable[[], object]) -> str:
    try:
        work()
    except MachineError as error:
        return str(error)
    return ""


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that every user may look into."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    for inside in folder.rglob("*"):
        inside.chmod(0o755)
    shutil.rmtree(folder)


def test_folder_that_is_there_or_can_be_made_is_fine(tmp_path: Path) -> None:
    """Nothing is made by looking."""
    check_folder(tmp_path)
    check_folder(tmp_path / "new" / "deep")
    check_folder(Path("relative"))
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    """A file on the way, and a link that leads nowhere, are said with their own paths."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    with pytest.raises(MachineError, match=f"{tmp_path / 'file'} is a file, not a folder"):
        check_folder(tmp_path / "file" / "inner" / "deep")
    with pytest.raises(MachineError, match=f"link is a link to {tmp_path / 'absent'}, which is not there"):
        check_folder(tmp_path / "link" / "inner")


def test_link_in_a_circle_is_told(tmp_path: Path) -> None:
    """What the system cannot follow is an error in words."""
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(MachineError, match="circle"):
        check_folder(tmp_path / "circle" / "inner")


@pytest.mark.parametrize("path", ["x" * 256, "/".join(["x" * 200] * 20), "é" * 128])
def test_too_long_a_path_is_told(path: str) -> None:
    """A name of more than 255 bytes, or a path with no room left for the names in it, is refused."""
    with pytest.raises(MachineError, match="characters") as caught:
        check_folder(Path(path))
    assert caught.value.problems[0].fix == "choose a shorter output_dir"


def test_name_of_250_characters_is_fine(tmp_path: Path) -> None:
    """Blanks, quotes and pictures are as good as letters."""
    check_folder(tmp_path / ("a b'c\"😀" + "x" * 239))


def test_folder_of_another_user_is_named(open_to_all: Path) -> None:
    """Whose it is, and who asks, is said where the rights do not suffice."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    said = as_nobody(lambda: check_rights(open_to_all))
    assert f"no right to write in {open_to_all}: it belongs to root, and this is" in said
    assert "run as that user" in said


def test_own_folder_without_the_right_to_write(open_to_all: Path) -> None:
    """The command that mends it is said."""
    inner = open_to_all / "inner"
    inner.mkdir(mode=0o555)
    if os.geteuid() == 0:
        os.chown(inner, NOBODY, NOBODY)
    assert f"fix: run chmod u+rwx {inner}" in as_nobody(lambda: check_folder(inner / "new"))


def test_folder_that_cannot_be_looked_into(open_to_all: Path) -> None:
    """A way that ends at a closed door is told, not taken for one on which nothing is."""
    (open_to_all / "closed" / "inner").mkdir(parents=True)
    (open_to_all / "closed").chmod(0o000)
    assert f"no right to look into {open_to_all / 'closed'}" in as_nobody(
        lambda: check_folder(open_to_all / "closed" / "inner")
    )


def test_file_system_that_can_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is another matter than rights, and is told as such."""

    class Mounted:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(folders.os, "access", lambda path, mode: False)
    monkeypatch.setattr(folders.os, "statvfs", lambda path: Mounted)
    with pytest.raises(MachineError, match="is on a file system that can only be read"):
        check_folder(tmp_path)


def test_users_have_names() -> None:
    """A number without a name is told as a number."""
    assert folders.user_name(0) == "root"
    assert folders.user_name(3_999_999) == "user 3999999"
    assert folders.user_name()


def test_identity_stays_with_the_folder(tmp_path: Path) -> None:
    """A folder is the same under a new name, and another one under its old name is not."""
    (tmp_path / "one").mkdir()
    before = identity(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "other")
    (tmp_path / "one").mkdir()
    assert identity(tmp_path / "other") == before
    assert identity(tmp_path / "one") not in (before, None)
    assert identity(tmp_path / "absent") is None


def test_removed_working_folder_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process still stands in it, but nothing can be written there."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert identity(Path(".")) is not None
    (tmp_path / "work").rmdir()
    assert identity(Path(".")) is None


def test_size_counts_a_file_once(tmp_path: Path) -> None:
    """A second name of a file takes no room; a folder that is not there takes none either."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    alone = size_of(tmp_path)
    assert 100_000 <= alone < 200_000
    os.link(tmp_path / "one", tmp_path / "inner" / "two")
    assert size_of(tmp_path) == alone
    assert size_of(tmp_path / "absent") == 0


@pytest.mark.parametrize(
    ("kind", "options", "reach"),
    [
        ("ext4", "rw", True),
        ("nfs4", "rw,vers=4.2,local_lock=none", True),
        ("nfs", "rw,nolock,local_lock=all", False),
        ("fuse.gcsfuse", "rw", False),
        ("lustre", "rw", False),
    ],
)
def test_where_locks_reach_all_machines(
    kind: str, options: str, reach: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk of one machine, or NFS with locks kept by its server; of all others it is not known."""
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS.format(place=tmp_path, kind=kind, options=options))
    found = file_system(tmp_path, mounts)
    assert (found.kind, found.options) == (kind, frozenset(options.split(",")))
    monkeypatch.setattr(folders, "file_system", lambda folder: found)
    assert locks_reach_all(tmp_path) is reach


def test_innermost_mount_counts(tmp_path: Path) -> None:
    """Neither the root nor a place whose name only begins the same, and a blank is read as one."""
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS.format(place=f"{tmp_path}-other", kind="nfs", options="rw"))
    assert file_system(tmp_path, mounts).kind == "ext4"
    assert file_system(Path("/elsewhere/with blank/inner"), mounts).kind == "fuse.sshfs"
    assert file_system(tmp_path, tmp_path / "absent") == FileSystem("")


def test_this_machine_tells_its_file_systems() -> None:
    """The list that Linux gives can be read."""
    if Path("/proc/self/mountinfo").exists():
        assert file_system(Path("/proc")).kind == "proc"
