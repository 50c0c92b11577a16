"""Encoded texts as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forgeml.data.tokens.files import IDS, TYPES, DamagedError, GrowingArray, finish, load

OFFSETS = np.array([0, 2, 5], np.int64)


def _write(folder: Path, count: int = 5) -> None:
    with GrowingArray(folder / IDS, np.int32) as ids:
        ids.add(np.arange(count, dtype=np.int32))


@pytest.mark.parametrize("sizes", [[], [0], [3, 0, 4], [1] * 200, [100_000]], ids=len)
def test_array_grows_and_is_an_npy_file(sizes: list[int], tmp_path: Path) -> None:
    """However many values are added, NumPy reads the file as one array of them."""
    with GrowingArray(tmp_path / "a.npy", np.int32) as array:
        for size in sizes:
            array.add(np.arange(size, dtype=np.int32))
    expected = np.concatenate([np.zeros(0, np.int32), *(np.arange(size, dtype=np.int32) for size in sizes)])
    for found in (np.load(tmp_path / "a.npy"), np.load(tmp_path / "a.npy", mmap_mode="r")):
        assert np.array_equal(found, expected)
        assert found.dtype == np.int32


@pytest.mark.parametrize("bounds", [None, np.array([0, 2], np.int64)], ids=["pieces", "windows"])
@pytest.mark.parametrize("types", [None, np.array([0, 1, 0, 0, 1], np.uint8)], ids=["plain", "types"])
def test_what_is_written_is_read(types: np.ndarray | None, bounds: np.ndarray | None, tmp_path: Path) -> None:
    """All arrays and numbers come back, and what there was none of is None."""
    _write(tmp_path)
    if types is not None:
        with GrowingArray(tmp_path / TYPES, np.uint8) as file:
            file.add(types)
    finish(tmp_path, OFFSETS, np.arange(len(OFFSETS) - 1 if bounds is None else len(bounds) - 1) == 0, bounds, 7)
    found = load(tmp_path, 2 if bounds is None else 1)
    assert (found.ids.tolist(), found.offsets.tolist()) == ([0, 1, 2, 3, 4], [0, 2, 5])
    assert (found.pad_id, found.truncated) == (7, 1)
    for read, written in ((found.types, types), (found.bounds, bounds)):
        assert (read is None) == (written is None)
        assert read is None or np.array_equal(read, written)


def test_ids_stay_on_disk(tmp_path: Path) -> None:
    """The arrays are views of the files and cannot be written to."""
    _write(tmp_path)
    finish(tmp_path, OFFSETS, np.zeros(len(OFFSETS) - 1, bool), None, 0)
    ids = load(tmp_path, 2).ids
    assert isinstance(ids.base, np.memmap)
    assert not ids.flags.writeable


def test_other_numbers_are_damage(tmp_path: Path) -> None:
    """Offsets that do not end with the ids, or another number of texts, are not taken for the texts asked for."""
    _write(tmp_path)
    finish(tmp_path, OFFSETS, np.zeros(len(OFFSETS) - 1, bool), None, 0)
    with pytest.raises(DamagedError):
        load(tmp_path, 3)
    _write(tmp_path, count=4)
    with pytest.raises(DamagedError):
        load(tmp_path, 2)
    with pytest.raises(DamagedError):
        load(tmp_path / "absent", 2)


def test_array_of_a_broken_run_is_empty(tmp_path: Path) -> None:
    """After an error the header says that nothing is there."""
    with pytest.raises(KeyboardInterrupt), GrowingArray(tmp_path / "a.npy", np.int32) as array:
        array.add(np.arange(3, dtype=np.int32))
        raise KeyboardInterrupt
    assert len(np.load(tmp_path / "a.npy")) == 0
