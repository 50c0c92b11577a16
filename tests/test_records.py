"""The records that compute something."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from forgeml.records import EncodedTexts, Note


def test_lengths_come_from_the_offsets() -> None:
    """Text i has the tokens between its offset and the next."""
    encoded = EncodedTexts(np.arange(6, dtype=np.int32), np.array([0, 2, 2, 6]), pad_id=0, truncated=0)
    assert len(encoded) == 3
    assert encoded.lengths.tolist() == [2, 0, 4]


def test_records_are_frozen() -> None:
    """What is handed on never changes on the way."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Note("model", "text").text = "other"  # type: ignore[misc]
