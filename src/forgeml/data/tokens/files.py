"""Encoded texts as files that are written while their length is still open, and read without loading them."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from forgeml.records import EncodedTexts

IDS, TYPES, OFFSETS, LOST, BOUNDS = "ids.npy", "types.npy", "offsets.npy", "lost.npy", "bounds.npy"
DTYPES: dict[str, type[np.generic]] = {
    IDS: np.int32,
    TYPES: np.uint8,
    OFFSETS: np.int64,
    LOST: np.bool_,
    BOUNDS: np.int64,
}
ABOUT = "about.json"


class DamagedError(Exception):
    """The files are not those of encoded texts, or not all of them."""


class GrowingArray:
    """An .npy file of one dimension to which arrays are added; readable once the `with` block has ended.

    Example:
        >>> with GrowingArray(folder / "ids.npy", np.int32) as ids:
        ...     ids.add(np.arange(3, dtype=np.int32))
    """

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        """Make the file, or empty it."""
        self._dtype = np.dtype(dtype)
        self._length = 0
        self._file = path.open("wb")
        self._write_header()

    def __enter__(self) -> Self:
        return self

    def add(self, values: NDArray[Any]) -> None:
        """Append values of the array's type, shape (any,)."""
        self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self._length += len(values)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                # NumPy leaves room in the header for a first dimension of any size, so that it can be written over.
                self._file.seek(0)
                self._write_header()

    def _write_header(self) -> None:
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._file, header)


def finish(
    folder: Path, offsets: NDArray[np.int64], lost: NDArray[np.bool_], bounds: NDArray[np.int64] | None, pad_id: int
) -> None:
    """Write what `load` needs beside the ids, and the types where there are any.

    Args:
        folder: where `ids.npy` is.
        offsets: of the encoded texts.
        lost: of the encoded texts.
        bounds: of the encoded texts.
        pad_id: of the encoded texts.
    """
    np.save(folder / OFFSETS, offsets)
    np.save(folder / LOST, lost)
    if bounds is not None:
        np.save(folder / BOUNDS, bounds)
    names = sorted(path.name for path in folder.glob("*.npy"))
    (folder / ABOUT).write_text(json.dumps({"pad_id": pad_id, "files": names}), encoding="utf-8")


def load(folder: Path, texts: int) -> EncodedTexts:
    """The encoded texts of a folder, as arrays that stay on disk until they are read.

    Args:
        folder: with `ids.npy` and what `finish` has added.
        texts: how many there must be.

    Raises:
        DamagedError: something is absent or has another size than it must have.
    """
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        arrays = {name: _mapped(folder / name, DTYPES[name]) for name in about["files"]}
        encoded = EncodedTexts(
            arrays[IDS],
            arrays[OFFSETS],
            int(about["pad_id"]),
            arrays[LOST],
            arrays.get(TYPES),
            arrays.get(BOUNDS),
        )
    except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
        raise DamagedError(str(folder)) from error
    if len(encoded) != texts or not _fits(encoded):
        raise DamagedError(str(folder))
    return encoded


def _mapped(path: Path, dtype: type[np.generic]) -> NDArray[Any]:
    # As a plain array, which is indexed faster than NumPy's memmap.
    array = np.asarray(np.load(path, mmap_mode="r"))
    if array.ndim != 1 or array.dtype != dtype:
        raise DamagedError(str(path))
    return array


def _fits(encoded: EncodedTexts) -> bool:
    return (
        _rises(encoded.offsets, len(encoded.ids))
        and (encoded.bounds is None or _rises(encoded.bounds, len(encoded.offsets) - 1))
        and len(encoded.lost) == len(encoded)
        and (encoded.types is None or len(encoded.types) == len(encoded.ids))
    )


def _rises(offsets: NDArray[np.int64], end: int) -> bool:
    """From 0 to the end, with something at each step."""
    return len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == end and bool((offsets[1:] > offsets[:-1]).all())
