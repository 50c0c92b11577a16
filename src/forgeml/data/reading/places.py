"""Which local files make which split: one file, a folder with a file for each, or a mapping of splits to files."""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forgeml.data.reading.opening import is_data_file, suffix
from forgeml.errors import DataError, nearest
from forgeml.hub.names import written_as_path

SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
"""What the file of each split may be called, letter case aside."""
SETTING = "data.dataset"
TRAIN_FILE_FIX = "name one train.csv or train.jsonl, or set data.dataset to one file"
MOST_SHOWN = 10

ODD_FILES = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class Places:
    """The files of each split, in the order in which they are read."""

    files: Mapping[str, Sequence[Path]]
    folder: Path
    """The folder or file that holds them all."""
    unused: Sequence[Path] = ()
    """Data files in the folder that belong to no split."""


def find_files(dataset: str | Mapping[str, str]) -> Places:
    """The files that `data.dataset` means.

    Args:
        dataset: a file, taken as `train`; a pattern of several; a folder with `train.*`, `validation.*` and `test.*`;
            or files or patterns by split.

    Raises:
        DataError: there are none, or one of them serves twice.
    """
    if isinstance(dataset, str):
        path = Path(os.path.expanduser(dataset))
        if os.path.isdir(path):
            places = _in_folder(path)
        else:
            files = _matching(SETTING, dataset)
            places = Places({"train": files}, path if files == [path] else _common_folder(files))
    else:
        by_split = {split: _matching(f"{SETTING}.{split}", pattern) for split, pattern in dataset.items()}
        if not by_split:
            raise DataError.at(SETTING, "an empty mapping", "name the file of each split: {train: a.csv, test: b.csv}")
        places = Places(by_split, _common_folder([file for files in by_split.values() for file in files]))
    _refuse_same(places.files)
    return places


def is_local(dataset: str) -> bool:
    """Whether the name is meant as a path: something is there, or it is written like one."""
    if "://" in dataset:
        # An address; the hub says which part of it is the name.
        return False
    # A folder that only happens to have the name of a data set on the hub, as an output folder may, is not meant.
    path = Path(dataset)
    return written_as_path(dataset) or is_data_file(path) or os.path.isfile(path) or _has_train_file(path)


def lack(folder: Path) -> tuple[str, str]:
    """What keeps a folder without a train file from being a data set, and what to do about it."""
    return f"no train file; found {_found(_data_files(folder))}", TRAIN_FILE_FIX


def _in_folder(folder: Path) -> Places:
    found = _data_files(folder)
    by_split = {split: [file for file in found if _stem(file) in names] for split, names in SPLIT_NAMES.items()}
    for split, files in by_split.items():
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise DataError.at(str(folder), f"several files for {split}: {names}", "keep one of them")
    if not by_split["train"]:
        raise DataError.at(str(folder), f"no train file in the folder; found {_found(found)}", TRAIN_FILE_FIX)
    used = [file for files in by_split.values() for file in files]
    unused = [file for file in found if file not in used]
    return Places({split: files for split, files in by_split.items() if files}, folder, unused)


def _matching(setting: str, pattern: str) -> list[Path]:
    """The file of that name, or the files that the pattern matches, sorted."""
    path = Path(os.path.expanduser(pattern))
    if not glob.has_magic(pattern) or _exists(path):
        _check_file(setting, path, pattern)
        return [path]
    matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True)) if not os.path.isdir(match)]
    if not matches:
        raise DataError.at(setting, f"no file matches {pattern}", missing_fix(path, pattern))
    for match in matches:
        _check_file(setting, match, str(match))
    return matches


def _exists(path: Path) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:
        return False


def _check_file(setting: str, path: Path, name: str) -> None:
    """Refuse what is not an ordinary file; opening a pipe would wait for ever."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise DataError.at(setting, _why_absent(path, name, error), missing_fix(path, name)) from error
    if stat.S_ISDIR(mode):
        what = f"{name} is a folder, where a file is expected; in it there are {_found(_data_files(path))}"
        raise DataError.at(setting, what, "name a file, or a pattern such as part-*.csv")
    if not stat.S_ISREG(mode):
        kind = ODD_FILES.get(stat.S_IFMT(mode), "of another kind")
        what = f"{name} is neither a file nor a folder: it is {kind}"
        raise DataError.at(setting, what, "write what comes from it to a file, as data are read more than once")


def _why_absent(path: Path, name: str, error: OSError | ValueError) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOENT and path.is_symlink():
        return f"{name} is a link to {os.readlink(path)}, which is not there"
    if number in (errno.ENOENT, errno.ENOTDIR, None):
        return f"no file or folder {name}"
    return f"{name} cannot be reached: {os.strerror(number or 0)}"


def _has_train_file(folder: Path) -> bool:
    return os.path.isdir(folder) and any(_stem(file) in SPLIT_NAMES["train"] for file in _data_files(folder))


def missing_fix(path: Path, dataset: str) -> str:
    """Where it may be instead: a file of a like name, the files beside it, or the hub."""
    beside = _data_files(path.parent) if os.path.isdir(path.parent) else []
    close = nearest(path.name, [file.name for file in beside])
    if close:
        return f"did you mean {path.with_name(close)}? in {path.parent} there are {_listed(beside)}"
    hint = f"in {path.parent} there are {_listed(beside)}" if beside else f"{path.parent} holds no data files"
    on_hub = dataset.strip("/")
    meant_hub = dataset.endswith("/") and dataset[0] not in "./~" and on_hub.count("/") < 2
    return f"check the path; {hint}" + (f"; the data set on the hub is {on_hub}, without the last /" * meant_hub)


def _data_files(folder: Path) -> list[Path]:
    try:
        return [file for file in sorted(folder.iterdir()) if is_data_file(file) and os.path.isfile(file)]
    except OSError as error:
        what = f"cannot be listed: {error.strerror or error}"
        raise DataError.at(str(folder), what, "check the folder and its rights") from error


def _listed(files: Sequence[Path]) -> str:
    more = f" and {len(files) - MOST_SHOWN} more" if len(files) > MOST_SHOWN else ""
    return ", ".join(file.name for file in files[:MOST_SHOWN]) + more


def _found(files: Sequence[Path]) -> str:
    return _listed(files) or "no data files"


def _stem(path: Path) -> str:
    """The name without all that tells the kind: `train` of `train.csv.gz` and of `train.csv.zip`."""
    name = path.name.lower().removesuffix(".gz").removesuffix(".zip")
    return name.removesuffix(suffix(Path(name))) if is_data_file(Path(name)) else name


def _common_folder(files: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([os.path.abspath(file.parent) for file in files]))


def _refuse_same(files: Mapping[str, Sequence[Path]]) -> None:
    """Refuse a file that stands in two splits, or twice in one, under whatever names."""
    seen: dict[tuple[int, int], tuple[str, Path]] = {}
    for split, file in ((split, file) for split, paths in files.items() for file in paths):
        facts = file.stat()
        before = seen.setdefault((facts.st_dev, facts.st_ino), (split, file))
        if before != (split, file):
            both = f"{before[1]} of {before[0]} and {file} of {split}"
            raise DataError.at(
                SETTING, f"{both} are the same file", "give each file once; rows must not be in two splits"
            )
