"""`forgeml.json`, which tells of a saved folder what its weights do not. Read without torch and transformers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from forgeml.errors import ModelError

FORMAT = 1
MANIFEST = "forgeml.json"
CARD_FILE = "README.md"
CONFIG = "config.json"

ENTRIES: Mapping[str, type] = {
    "task": str,
    "labels": list,
    "metrics": dict,
    "config": dict,
    "data": dict,
    "model": dict,
    "files": dict,
}
"""What a manifest of format 1 has besides `format`, and of which kind."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """`forgeml.json` of a saved folder; empty if something else saved it.

    Raises:
        ModelError: written by a newer ForgeML, or damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        written = int(manifest["format"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise ModelError.at(str(path), f"damaged: {error!r}", "copy the saved folder anew") from error
    if written > FORMAT:
        what = f"written in format {written}; this ForgeML reads up to {FORMAT}"
        raise ModelError.at(str(path), what, "install a newer ForgeML")
    wrong = [name for name, kind in ENTRIES.items() if not isinstance(manifest.get(name), kind)]
    if wrong:
        raise ModelError.at(str(path), f"damaged: no proper {', '.join(wrong)}", "copy the saved folder anew")
    outside = [name for name in manifest["files"] if not _is_inside(name)]
    if outside:
        what = f"damaged: {outside[0]!r} in `files` is no path inside the folder"
        raise ModelError.at(str(path), what, "copy the saved folder anew")
    return dict(manifest)


def long_texts_of(manifest: Mapping[str, Any]) -> str:
    """What the model was trained to read of long texts; their beginning where the manifest does not say."""
    return str(manifest.get("config", {}).get("model", {}).get("long_texts", "truncate"))


def check_files(folder: Path, files: Mapping[str, str], names: Iterable[str]) -> None:
    """See that files are there and have not changed since they were saved; the card is for people to write in.

    Args:
        folder: the saved folder.
        files: SHA-256 of each, as the manifest has them.
        names: which ones to look at; those that the manifest does not have pass.

    Raises:
        ModelError: with the names of those that are missing or have changed.
    """
    wanted = {name: files[name] for name in names if name in files and name != CARD_FILE}
    absent = [name for name in wanted if not (folder / name).is_file()]
    if absent:
        raise ModelError.at(str(folder), f"files are missing: {', '.join(absent)}", "copy the saved folder anew")
    changed = [name for name, known in wanted.items() if file_hash(folder / name) != known]
    if changed:
        raise ModelError.at(
            str(folder),
            f"not as it was saved: {', '.join(changed)} (SHA-256 differs from {MANIFEST})",
            f"copy the folder anew; after a change on purpose take the file's line out of `files` in {MANIFEST}",
        )


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a folder but the manifest, by its path inside the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: file_hash(path) for name, path in names.items() if name != MANIFEST}


def file_hash(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
