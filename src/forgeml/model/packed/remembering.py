"""What frozen blocks make of a text is the same in every epoch: it is worked out once and kept on disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from forgeml.batch import PackedBatch
from forgeml.machine import cache_folder
from forgeml.records import EncodedTexts

Pack = Callable[[EncodedTexts, NDArray[np.int64]], PackedBatch]
BITS = {2: torch.int16, 4: torch.int32}
"""By the bytes of a number: the kind of whole number whose bits hold it, as numpy has no bf16."""


class Remembering:
    """Makes packed batches that know, from the second time on, the states of their tokens behind frozen blocks."""

    def __init__(self, pack: Pack) -> None:
        """Prepare to remember; what is packed is packed by `pack`."""
        self._pack = pack
        self._shelves: dict[int, tuple[EncodedTexts, _Shelf]] = {}

    def __call__(self, encoded: EncodedTexts, indexes: NDArray[np.int64]) -> PackedBatch:
        """The chosen texts as one batch."""
        batch = self._pack(encoded, indexes)
        # The texts are held with it, so that no others can come to have the same number.
        _, shelf = self._shelves.setdefault(id(encoded), (encoded, _Shelf(int(encoded.offsets[-1]))))
        assert batch.places is not None
        return replace(batch, lower=_States(shelf, batch.places))


class _Shelf:
    """States of all tokens of some texts, in a file without a name, which goes with the process."""

    def __init__(self, tokens: int) -> None:
        self._seen = np.zeros(tokens, bool)
        self._stored: NDArray[np.signedinteger] | None = None
        self._dtype = torch.float32
        self._has_room = True

    def read(self, places: NDArray[np.int64]) -> torch.Tensor | None:
        if self._stored is None or not self._seen[places].all():
            return None
        return torch.from_numpy(self._stored[places]).view(self._dtype)

    def write(self, places: NDArray[np.int64], states: torch.Tensor) -> None:
        if self._stored is None and self._has_room:
            self._dtype = states.dtype
            self._stored = _file(len(self._seen), states.shape[1], states.element_size())
            self._has_room = self._stored is not None
        if self._stored is not None:
            self._stored[places] = states.detach().cpu().view(BITS[states.element_size()]).numpy()
            self._seen[places] = True


@dataclass(frozen=True)
class _States:
    """Of one batch."""

    shelf: _Shelf
    places: NDArray[np.int64]

    def known(self) -> torch.Tensor | None:
        return self.shelf.read(self.places)

    def keep(self, states: torch.Tensor) -> None:
        self.shelf.write(self.places, states)


def _file(tokens: int, width: int, bytes_each: int) -> NDArray[np.signedinteger] | None:
    """An array on disk whose room is set aside; None if there is not enough, and then all is worked out each time."""
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache_folder()) as file:
            os.posix_fallocate(file.fileno(), 0, max(1, tokens * width * bytes_each))
            return np.memmap(file, f"i{bytes_each}", "r+", shape=(tokens, width))
    except (OSError, AttributeError):
        return None
