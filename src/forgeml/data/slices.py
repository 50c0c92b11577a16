"""Which rows `train[:5000]` or `train[10%:20%]` stands for, with the meaning that the `datasets` library gives it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forgeml.errors import DataError, nearest

BOUND = r"-?\d(?:_?\d){0,17}%?"
SLICE = re.compile(rf"(?P<split>[^\[\]]+)(?:\[(?P<start>{BOUND})?:(?P<stop>{BOUND})?\])?", re.ASCII)
FEWEST_ROWS = 100
"""A slice that is suggested has no fewer rows, where there are so many: they are to be split again."""


def resolve(wanted: str, sizes: Mapping[str, int], setting: str, source: str) -> tuple[str, int, int]:
    """The split, its first row, and the row behind the last one; counted from 0.

    Args:
        wanted: a split or a slice of one.
        sizes: rows of each split that there is.
        setting: the setting that says so, for messages.
        source: name of the data set, for messages.

    Raises:
        DataError: no slice, no such split, or no rows in it.
    """
    match = SLICE.fullmatch(wanted)
    if match is None:
        raise DataError.at(setting, f"{wanted!r} is no split or slice", "write train, train[:5000] or train[10%:20%]")
    split, bounds = match["split"], (match["start"], match["stop"])
    if split not in sizes:
        listed = ", ".join(sizes)
        close = nearest(split, sizes)
        hint = f"did you mean {close}?" if close else f"choose one of {listed}"
        raise DataError.at(setting, f"{source} has no split {split!r}; it has {listed}", hint)
    _check_bounds(wanted, [bound for bound in bounds if bound], setting)
    rows = sizes[split]
    # Python's slices cut off what is outside and count negative bounds from the end, and so does the library.
    start, stop, _ = slice(*(_row(bound, rows) for bound in bounds)).indices(rows)
    if start >= stop:
        raise DataError.at(setting, f"{wanted!r} holds no rows: {split} has {rows:,}", "choose a slice inside it")
    return split, start, stop


def around_change(words: pa.ChunkedArray, rows: int) -> tuple[int, int, int] | None:
    """A slice with two labels, for data in which long runs of rows have the same one.

    Args:
        words: labels, null where there is none, shape (rows of the split,).
        rows: how many the slice is to have, about.

    Returns:
        Its first row, the row behind its last, and the row in between where the label changes; None if it never does.
    """
    known = np.flatnonzero(words.is_valid().to_numpy())
    labels = words.drop_null()
    changes = np.flatnonzero(np.diff(pc.index_in(labels, labels.unique()).to_numpy()))
    if not len(changes):
        return None
    before, change = int(known[changes[0]]), int(known[changes[0] + 1])
    rows = max(rows, FEWEST_ROWS)
    start = max(0, min(before, change - rows // 2, len(words) - rows))
    return start, min(len(words), max(change + 1, start + rows)), change


def _check_bounds(wanted: str, bounds: list[str], setting: str) -> None:
    shares = [int(bound[:-1]) for bound in bounds if bound.endswith("%")]
    if shares and len(shares) < len(bounds):
        fix = "write train[1000:2000] or train[10%:20%]"
        raise DataError.at(setting, f"{wanted!r} counts rows at one end and percent at the other", fix)
    if any(abs(share) > 100 for share in shares):
        raise DataError.at(setting, f"{wanted!r} reaches beyond 100%", "choose percentages from -100 to 100")


def _row(bound: str | None, rows: int) -> int | None:
    """A bound as a row; percentages are rounded to the nearest one."""
    if bound is None:
        return None
    return round(int(bound[:-1]) * rows / 100) if bound.endswith("%") else int(bound)
