"""What a safetensors file says of itself, read before any library maps it into memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from forgeml.errors import ModelError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
LFS_POINTER = b"version https://git-lfs"
LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, as an unsigned little-endian integer of so many bytes."""
LONGEST_HEADER = 100_000_000
"""Bytes; the format's own bound."""


@dataclass(frozen=True)
class StoredWeights:
    """How much the files of a model hold."""

    tensors: int
    elements: int


def stored_weights(folder: Path) -> StoredWeights:
    """Count what the weight files of a folder hold, and see that each of them is whole.

    Raises:
        ModelError: a file is missing, empty, cut short, too long, or no safetensors file.
    """
    shapes = [shape for path in weight_files(folder) for shape in _shapes(path)]
    return StoredWeights(len(shapes), sum(prod(shape) for shape in shapes))


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model: a single one, or the shards that its index names.

    Raises:
        ModelError: the index is damaged, names a file outside of the folder, or one that is not there.
    """
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / INDEX
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        outside = [name for name in names if Path(name).name != name]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _damaged(index, f"does not say which files hold the weights: {error!r}") from error
    if outside:
        raise _damaged(index, f"names {outside[0]!r}, which is not a file of this folder")
    absent = [name for name in names if not (folder / name).is_file()]
    if absent or not names:
        raise _damaged(index, f"names {len(names)} files, missing are: {', '.join(absent) or 'all'}")
    return [folder / name for name in names]


def _shapes(path: Path) -> Iterator[list[int]]:
    """Shape of each tensor, once the file is known to be as long as its header says."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(LENGTH_BYTES)
        length = int.from_bytes(start, "little")
        _check_start(path, start + stream.read(len(LFS_POINTER)), length, size)
        stream.seek(LENGTH_BYTES)
        header = _parsed(path, stream.read(length))
    try:
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        wanted = LENGTH_BYTES + length + max((int(entry["data_offsets"][1]) for entry in tensors), default=0)
        shapes = [[int(side) for side in entry["shape"]] for entry in tensors]
    except (LookupError, TypeError, ValueError) as error:
        raise _damaged(path, "is not a safetensors file: its header does not describe tensors") from error
    if size != wanted:
        raise _damaged(
            path, f"is damaged: {_megabytes(size)} of {_megabytes(wanted)} MB ({size:,} of {wanted:,} bytes)"
        )
    yield from shapes


def _check_start(path: Path, start: bytes, length: int, size: int) -> None:
    if not size:
        raise _damaged(path, "is empty")
    if start.startswith(LFS_POINTER):
        raise ModelError.at(
            "model.name",
            f"{path.name} is a git-lfs pointer: the weights themselves were not fetched",
            f"run `git lfs pull` in {path.parent}, or name the model as it is called on the hub",
        )
    if len(start) < LENGTH_BYTES or not 0 < length <= LONGEST_HEADER:
        raise _damaged(path, "is not a safetensors file")
    if length > size - LENGTH_BYTES:
        raise _damaged(path, f"is damaged: it ends after {size:,} bytes, inside its header")


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "is not a safetensors file: its header is not JSON") from error
    if not isinstance(header, dict):
        raise _damaged(path, "is not a safetensors file: its header is not a JSON object")
    return header


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}"


def _damaged(path: Path, what: str) -> ModelError:
    return ModelError.at("model.name", f"{path.name} {what}", f"delete {path} and fetch or copy it again")
