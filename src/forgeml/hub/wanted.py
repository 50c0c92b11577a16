"""Files of a repository, and what of them is in the cache."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    HfUriError,
    HFValidationError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
)
from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]

from forgeml.hub.errors import Asked
from forgeml.hub.patience import patient


@dataclass(frozen=True)
class Wanted:
    """Files of one commit of a repository: that which a revision stands for."""

    asked: Asked
    patterns: tuple[str, ...]
    """Of the files' names."""
    ignored: tuple[str, ...] = ()
    """Of the names of files that are not meant all the same."""

    @property
    def request(self) -> dict[str, Any]:
        """What the library's function is called with."""
        return {
            "repo_id": self.asked.name,
            "repo_type": self.asked.kind,
            "revision": self.asked.revision or constants.DEFAULT_REVISION,
            "allow_patterns": list(self.patterns),
            "ignore_patterns": list(self.ignored),
        }

    def folder(self) -> Path | None:
        """The commit's folder in the cache, be it with a part of the files; None if there is none."""
        try:
            return Path(huggingface_hub.snapshot_download(local_files_only=True, **self.request))
        except IncompleteSnapshotError as error:
            return Path(error.snapshot_path)
        except (LocalEntryNotFoundError, HFValidationError, HfUriError):
            return None

    def present(self) -> list[Path]:
        """Those of the files that are in the cache."""
        folder = self.folder()
        if folder is None:
            return []
        names = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_dir())
        return [folder / name for name in self._meant(names)]

    def missing(self) -> list[str] | None:
        """Names of the files that the cache lacks; None if it is not known which ones there are."""
        asked, folder = self.asked, self.folder()
        try:
            listed = huggingface_hub.get_cached_repo_tree(asked.name, repo_type=asked.kind, revision=asked.revision)
        except (CachedRepoTreeNotFoundError, HFValidationError, HfUriError):
            return None
        names = self._meant(file.path for file in listed)
        return [name for name in names if not (folder and (folder / name).is_file())]

    def announced(self, files: Sequence[Path]) -> dict[Path, str]:
        """The hashes that the hub lists for some of the files: git's, or of large files the SHA-256."""
        folder, asked = self.folder(), self.asked
        if folder is None:
            return {}
        names = [file.relative_to(folder).as_posix() for file in files]
        api = huggingface_hub.HfApi()
        with patient():
            listed = api.get_paths_info(asked.name, names, repo_type=asked.kind, revision=asked.revision)
        return {
            folder / file.path: file.lfs.sha256 if file.lfs else file.blob_id
            for file in listed
            if isinstance(file, huggingface_hub.RepoFile)
        }

    def at(self, commit: str) -> Self:
        """The same files of a commit."""
        return replace(self, asked=replace(self.asked, revision=commit))

    def _meant(self, names: Iterable[str]) -> list[str]:
        return list(filter_repo_objects(names, allow_patterns=list(self.patterns), ignore_patterns=list(self.ignored)))
