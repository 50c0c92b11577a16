"""The arrays that a model takes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from forgeml.batch import Batch, PackedBatch


def test_batches_are_frozen() -> None:
    """What is handed on never changes on the way."""
    row = np.zeros((1, 1), np.int64)
    for batch in (Batch(row, row, row[0]), PackedBatch(row[0], row[0], row[0], row[0])):
        with pytest.raises(dataclasses.FrozenInstanceError):
            batch.indexes = row[0]  # type: ignore[misc]
