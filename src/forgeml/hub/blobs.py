"""Files in the hub's cache, held against the hashes that they are stored under. The library itself never does that."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants

PIECE = 1 << 20


@dataclass(frozen=True)
class Blob:
    """A file of the cache."""

    repository: str
    """owner/name."""
    path: Path
    bytes: int
    sound: bool | None
    """Whether it holds what it is stored as; None where it is not stored under a hash."""


def check_cache(cache: Path | None = None) -> Iterator[Blob]:
    """Hash every file of the cache, one after the other; a gigabyte takes about a second.

    Args:
        cache: its folder; the one that is in use if left out.
    """
    for blob in sorted(Path(cache or constants.HF_HUB_CACHE).expanduser().glob("*--*/blobs/*")):
        if blob.is_file() and not blob.name.endswith(".incomplete"):
            _, _, repository = blob.parents[1].name.partition("--")
            yield Blob(repository.replace("--", "/"), blob, blob.stat().st_size, _is_sound(blob))


def damaged(files: Iterable[Path], announced: Callable[[list[Path]], Mapping[Path, str]] | None = None) -> list[Path]:
    """Those of a commit's files that do not hold what they are stored as; links that lead nowhere are passed over.

    Args:
        files: of one commit's folder.
        announced: gives the hashes of files that are not stored under one; without it such files pass.
    """
    checked = {file: _is_sound(_blob_of(file)) for file in files if file.is_file()}
    unknown = [file for file, sound in checked.items() if sound is None]
    if announced and unknown:
        hashes = announced(unknown)
        checked |= {file: _has_hash(_blob_of(file), hashes.get(file, "")) for file in unknown}
    return [file for file, sound in checked.items() if sound is False]


def discard(files: Iterable[Path]) -> None:
    """Take files of a commit out of the cache, with what is stored of them.

    Raises:
        OSError: the cache cannot be written.
    """
    for file in files:
        for stored in (file.resolve(), _blob_of(file), file):
            stored.unlink(missing_ok=True)


def _blob_of(file: Path) -> Path:
    """What a commit's file is a link to. It may be a link itself, to a file that other repositories share.

    On disks without links it is the file, which then has no hash for a name.
    """
    return Path(os.path.normpath(file.parent / os.readlink(file))) if file.is_symlink() else file


def _is_sound(blob: Path) -> bool | None:
    return _has_hash(blob, blob.name) if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", blob.name) else None


def _has_hash(blob: Path, name: str) -> bool:
    """Whether the bytes come to that SHA-256, or to that SHA-1."""
    if len(name) == 64:
        return name in _hashes(blob, hashlib.sha256())
    # Small files have the hash that git gives them. Some mirrors announce that of the bare content.
    git = hashlib.sha1(b"blob %d\0" % blob.stat().st_size, usedforsecurity=False)
    return name in _hashes(blob, git, hashlib.sha1(usedforsecurity=False))


def _hashes(path: Path, *hashes: hashlib._Hash) -> list[str]:
    """What the hashes come to once they have taken the file."""
    with path.open("rb") as content:
        while piece := content.read(PIECE):
            for one in hashes:
                one.update(piece)
    return [one.hexdigest() for one in hashes]
