"""Shares of train that become validation or test, drawn by seed, class by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forgeml.errors import DataError
from forgeml.records import Split, Task

DEFAULT_SHARE = 0.1
"""Part of train that becomes the validation split when the data has none."""
SPLITTING = 1
"""Keeps the draws for splitting apart from the draws for shuffling batches, which start from the same seed."""


def set_aside(train: Split, shares: Mapping[str, float], seed: int, task: Task = "single_label") -> dict[str, Split]:
    """Cut shares of train off, class by class; the order of rows is kept.

    Validation is drawn from one end of a shuffled class and test from the other, so that neither depends on whether
    or how much is cut for the other. Every class keeps an example in train. A text of several classes counts as one of
    its rarest; numbers have no classes and are drawn from all rows alike.

    Args:
        train: what to cut from.
        shares: above 0 and below 1, for `validation`, `test` or both, of all of train.
        seed: start of the draw.
        task: says what the labels are.

    Returns:
        The parts by name, and under `train` what is left.

    Raises:
        DataError: a share comes to no row at all, or nothing is left.
    """
    shares = {name: shares[name] for name in ("validation", "test") if name in shares}
    if sum(shares.values()) >= 1:
        what = f"the shares {' and '.join(f'{share:g}' for share in shares.values())} leave nothing to train on"
        raise DataError.at("data.test_split", what, "lower them; together they are to stay below 1")
    classes = _classes(train, task)
    sizes = _sizes_by_class(np.bincount(classes), shares)
    for name, by_class in sizes.items():
        if not by_class.any():
            what = f"{shares[name]:g} of {len(train):,} rows comes to no row"
            raise DataError.at(f"data.{name}_split", what, "give a larger share, or more data")
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(SPLITTING,)))
    chosen = {name: np.zeros(len(train), dtype=bool) for name in shares}
    for class_id in np.unique(classes):
        members = generator.permutation(np.flatnonzero(classes == class_id))
        for name, by_class in sizes.items():
            from_its_end = members if name == "validation" else members[::-1]
            chosen[name][from_its_end[: by_class[class_id]]] = True
    left = ~np.logical_or.reduce([np.zeros(len(train), dtype=bool), *chosen.values()])
    return {"train": select(train, left), **{name: select(train, rows, name) for name, rows in chosen.items()}}


def select(split: Split, chosen: NDArray[np.bool_], name: str | None = None) -> Split:
    """The chosen rows of a part, under another name if one is given; shape of `chosen` is (rows,)."""
    left_out = split.left_out if name in (None, split.name) else {}
    texts = replace(split.texts, rows=split.texts.rows[chosen])
    return Split(name or split.name, texts, split.labels[chosen], left_out)


def _classes(train: Split, task: Task) -> NDArray[np.int64]:
    """The class by which each row is drawn, shape (rows,)."""
    if task == "single_label":
        return train.labels.astype(np.int64)
    if task == "regression":
        return np.zeros(len(train), np.int64)
    # Rows without any class are a class of their own.
    classes = np.full(len(train), train.labels.shape[1], np.int64)
    for class_id in np.argsort(-train.labels.sum(axis=0, dtype=np.int64), kind="stable"):
        classes[train.labels[:, class_id] > 0] = class_id
    return classes


def _sizes_by_class(counts: NDArray[np.int64], shares: Mapping[str, float]) -> dict[str, NDArray[np.int64]]:
    """Examples of each class that go into each part; shape (classes,) each.

    Each is rounded down or up, so that all of them together come to the share: those with the largest fraction go up.
    A class keeps at least one example in train.
    """
    free = np.maximum(counts - 1, 0)
    sizes: dict[str, NDArray[np.int64]] = {}
    for name, share in shares.items():
        exact = counts * share
        size = np.minimum(np.floor(exact).astype(np.int64), free)
        fraction = np.where(size < free, exact - size, -1.0)
        missing = max(0, round(share * int(counts.sum())) - int(size.sum()))
        largest = np.argsort(-fraction, kind="stable")[: min(missing, np.count_nonzero(size < free))]
        size[largest] += 1
        sizes[name], free = size, free - size
    return sizes
