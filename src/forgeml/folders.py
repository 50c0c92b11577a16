"""Folders to write into: whether that is possible, found out without writing, and on which file system they lie."""

from __future__ import annotations

import os
import pwd
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from forgeml.errors import MachineError

ROOM_FOR_NAMES = 160
"""Characters that the path of a file of a run may be longer than that of its folder."""
LONGEST_PATH = 4096
"""Of Linux, in bytes; other systems take less, and say so."""

OF_ONE_MACHINE = frozenset({"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"})
"""File systems that only one machine at a time has, so that its own locks are all there are."""

MOUNT = re.compile(r"\S+ \S+ \S+ \S+ (?P<place>\S+) .* - (?P<kind>\S+) \S+ (?P<options>\S*)")
"""A line of Linux's list of mounts."""

ELSEWHERE = "choose another output_dir"


@dataclass(frozen=True)
class FileSystem:
    """What lies under a folder, as Linux tells it."""

    kind: str
    """Such as `ext4` or `nfs4`; empty where it is not known."""
    options: frozenset[str] = frozenset()


def check_folder(folder: Path) -> None:
    """See that files can be written in a folder, or that it can be made.

    Raises:
        MachineError: a file or a broken link is in the way, the right to write is not there, or the path is too long.
    """
    folder = folder.absolute()
    _check_length(folder)
    holder = _nearest(folder)
    if not stat.S_ISDIR(holder.stat().st_mode):
        raise MachineError.at("output_dir", f"{holder} is a file, not a folder", ELSEWHERE)
    check_rights(holder)


def check_rights(folder: Path) -> None:
    """See that there is the right to write into a folder that is there.

    Raises:
        MachineError: there is not; why, and whose it is.
    """
    if os.access(folder, os.W_OK | os.X_OK):
        return
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        what = f"{folder} is on a file system that can only be read"
        raise MachineError.at("output_dir", what, "mount it so that it can be written, or " + ELSEWHERE)
    owner = folder.stat().st_uid
    foreign = "" if owner == os.geteuid() else f": it belongs to {user_name(owner)}, and this is {user_name()}"
    fix = f"run as that user, or {ELSEWHERE}" if foreign else f"run chmod u+rwx {folder}, or {ELSEWHERE}"
    raise MachineError.at("output_dir", f"no right to write in {folder}{foreign}", fix)


def user_name(number: int | None = None) -> str:
    """Name of a user, or of the one who runs this; the number where the system has no name for it."""
    wanted = os.geteuid() if number is None else number
    with suppress(KeyError):
        return pwd.getpwuid(wanted).pw_name
    return f"user {wanted}"


def identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from all others, also when it is moved; None where there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    # A working folder that was removed can still be looked at.
    return (found.st_dev, found.st_ino) if found.st_nlink else None


def size_of(folder: Path) -> int:
    """Bytes on disk of all files in a folder, a file of several names counted once; what cannot be seen is not."""
    sizes: dict[tuple[int, int], int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                found = os.lstat(os.path.join(place, name))
                sizes[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(sizes.values())


def file_system(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> FileSystem:
    """The file system under a folder.

    Args:
        folder: that is there.
        mounts: Linux's list, in which a later line lies over earlier ones of the same place.
    """
    inside = str(folder.resolve())
    found, longest = FileSystem(""), -1
    with suppress(OSError), mounts.open(encoding="utf-8", errors="replace") as lines:
        for parsed in filter(None, map(MOUNT.match, lines)):
            place = _unescaped(parsed["place"])
            if len(place) >= longest and (inside + "/").startswith(place.rstrip("/") + "/"):
                found, longest = FileSystem(parsed["kind"], frozenset(parsed["options"].split(","))), len(place)
    return found


def locks_reach_all(folder: Path) -> bool:
    """Whether every machine that sees this folder sees the locks that others have there."""
    found = file_system(folder)
    return found.kind in OF_ONE_MACHINE or (found.kind in ("nfs", "nfs4") and "local_lock=none" in found.options)


def _check_length(folder: Path) -> None:
    longest = max(folder.parts, key=lambda part: len(os.fsencode(part)))
    what = None
    if len(os.fsencode(folder)) + ROOM_FOR_NAMES > LONGEST_PATH:
        what = f"the path has {len(str(folder)):,} characters, and {LONGEST_PATH - ROOM_FOR_NAMES:,} bytes may be used"
    elif len(os.fsencode(longest)) > os.pathconf("/", "PC_NAME_MAX"):
        what = f"the name {longest[:20]}... has {len(longest):,} characters, which no file system takes"
    if what:
        raise MachineError.at("output_dir", what, "choose a shorter output_dir")


def _nearest(folder: Path) -> Path:
    """The folder, or what there is on the way to it."""
    for path in (folder, *folder.parents):
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            if path.is_symlink():
                what = f"{path} is a link to {os.readlink(path)}, which is not there"
                raise MachineError.at("output_dir", what, f"remove the link, or {ELSEWHERE}") from error
        except PermissionError as error:
            raise MachineError.at("output_dir", f"no right to look into {path.parent}", ELSEWHERE) from error
        except OSError as error:
            raise MachineError.at("output_dir", f"{path} cannot be used: {error.strerror}", ELSEWHERE) from error
        else:
            return path
    return Path("/")


def _unescaped(place: str) -> str:
    r"""A path of the list of mounts, in which a blank is written as \040."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), place)
