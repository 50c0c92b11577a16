"""Texts that stand more than once: inside a part, in train and in what is to be scored on, or with two labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from forgeml.data import texts as reading
from forgeml.data.hashes import EMPTY, Hashes
from forgeml.errors import DataError
from forgeml.records import Duplicates, Leak, Split

SAMPLES = 3
CHARACTERS_SHOWN = 80
HIGHEST_SHARE = 0.5
"""A part of which more stands in train than this is no test of anything."""


def find_duplicates(parts: Sequence[Split], hashes: Mapping[str, Hashes]) -> Duplicates:
    """What stands more than once; texts that are empty are told elsewhere.

    Args:
        parts: train first.
        hashes: normalised hash of each text, by the name of the part.
    """
    train, seen = parts[0], hashes["train"]
    leaks = []
    for part in parts[1:]:
        mine = hashes[part.name]
        both = np.isin(mine, seen) & (mine != EMPTY)
        leaks.append(Leak(part.name, int(both.sum()), len(part), samples(part, np.flatnonzero(both))))
    conflicting = _first_of_conflicts(train, seen)
    return Duplicates(
        repeated={part.name: _repeated(hashes[part.name]) for part in parts},
        leaks=tuple(leaks),
        conflicting=len(conflicting),
        conflicting_samples=samples(train, conflicting),
        empty={part.name: int(np.count_nonzero(hashes[part.name] == EMPTY)) for part in parts},
    )


def unseen(part: Split, hashes: Mapping[str, Hashes]) -> NDArray[np.bool_]:
    """Which texts of a part do not stand in train, shape (texts,)."""
    mine = hashes[part.name]
    new: NDArray[np.bool_] = ~np.isin(mine, hashes["train"]) | (mine == EMPTY)
    return new


def check_leaks(duplicates: Duplicates) -> None:
    """Refuse figures that would say nothing.

    Raises:
        DataError: more than half of a part stands in train as well.
    """
    for leak in duplicates.leaks:
        if leak.count > HIGHEST_SHARE * leak.rows:
            share = f"{leak.count:,} of {leak.rows:,} texts ({leak.count / leak.rows:.0%})"
            what = f"{share} also stand in train, such as {leak.samples[0]!r}"
            fix = "set data.drop_duplicates: true to take them out of train, or give other rows"
            raise DataError.at(f"data.{leak.split}_split", f"{what}: its figures would mislead", fix)


def samples(part: Split, places: NDArray[np.int64]) -> tuple[str, ...]:
    """The first few texts at these places, shortened."""
    texts = [_shown(part, int(place)) for place in places[:SAMPLES]]
    return tuple(text if len(text) <= CHARACTERS_SHOWN else text[: CHARACTERS_SHOWN - 1] + "…" for text in texts)


def _shown(part: Split, place: int) -> str:
    firsts, seconds = reading.read(part.texts, place, place + 1)
    return " ".join(" / ".join(firsts + (seconds or [])).split())


def _repeated(hashes: Hashes) -> int:
    """Texts that stand further up already."""
    known = hashes[hashes != EMPTY]
    return len(known) - len(np.unique(known))


def _first_of_conflicts(train: Split, hashes: Hashes) -> NDArray[np.int64]:
    """A place for each text that stands with different labels."""
    order = np.argsort(hashes, kind="stable")
    same = (hashes[order][1:] == hashes[order][:-1]) & (hashes[order][1:] != EMPTY)
    pairs = np.flatnonzero(same)
    differ = train.labels[order[pairs + 1]] != train.labels[order[pairs]]
    conflicts = order[1:][pairs[differ.any(axis=1) if differ.ndim == 2 else differ]]
    _, firsts = np.unique(hashes[conflicts], return_index=True)
    places: NDArray[np.int64] = np.sort(conflicts[firsts])
    return places
