"""Data sets of the hub that are ready to be read, as the hub's library keeps them in its cache."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from forgeml.data.cache import folder_of, kept

WHOLE = "dataset_info.json"
"""Written last into a folder of the cache, so a folder that has it is whole."""
STILL_PREPARING = ".incomplete"


@dataclass(frozen=True)
class Prepared:
    """One subset of a data set at one commit: a folder `owner___name/subset/version/commit`."""

    folder: Path

    @property
    def repository(self) -> str:
        """owner/name, the latter in the library's spelling."""
        return self.folder.parts[-4].replace("___", "/")

    @property
    def subset(self) -> str:
        """By name."""
        return self.folder.parts[-3]

    @property
    def version(self) -> str:
        """As the library counts versions of subsets."""
        return self.folder.parts[-2]

    @property
    def commit(self) -> str:
        """On the hub."""
        return self.folder.name


def find_prepared(cache: Path, owner: str, name: str) -> list[Prepared]:
    """All copies of a data set that are whole, the one that was made last at the end.

    Args:
        cache: the library's.
        owner: on the hub; `*` stands for any.
        name: in the library's spelling.
    """
    found = cache.expanduser().glob(f"{owner}___{name}/*/*/*/{WHOLE}")
    folders = (file.parent for file in found if not file.parent.name.endswith(STILL_PREPARING))
    return [Prepared(folder) for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime)]


def choose(copies: Iterable[Prepared], subset: str | None, commit: str) -> Prepared | None:
    """The last of the copies that are of such a commit and subset.

    Args:
        copies: of one data set.
        subset: None where none is asked for, which serves as long as the copies are all of one.
        commit: whole, or the beginning of one.
    """
    fitting = [copy for copy in copies if copy.commit.startswith(commit) and subset in (None, copy.subset)]
    return fitting[-1] if len({copy.subset for copy in fitting}) == 1 else None


def remember_default(repository: str, commit: str, subset: str) -> None:
    """Keep which subset the hub gives of a commit where none is asked for."""
    kept("default-subsets", (repository, commit), lambda folder: _write(folder, subset))


def known_default(repository: str, commit: str) -> str | None:
    """The subset that the hub gave of a commit where none was asked for; None if that is not known."""
    try:
        return (folder_of("default-subsets", (repository, commit)) / "name").read_text(encoding="utf-8")
    except OSError:
        return None


def _write(folder: Path, subset: str) -> None:
    (folder / "name").write_text(subset, encoding="utf-8")
