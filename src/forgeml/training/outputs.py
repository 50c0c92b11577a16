"""What a run leaves on disk: `best_model/`, and `last_model/` where it was asked for or the run was stopped."""

from __future__ import annotations

import os.path
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forgeml.errors import MachineError
from forgeml.machine import held_signals
from forgeml.model.publishing import beside, check_place, publish, remove_stale
from forgeml.model.saved import Classifying, write_manifest, write_model
from forgeml.records import Manifest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

COPIES = 3
"""Saved models that stand side by side at the worst moment."""
SMALL_FILES = 20_000_000
"""Bytes for tokenizer, manifest and records."""


@dataclass(frozen=True)
class Room:
    """Place on the disk, in bytes."""

    model: int
    """Of one saved model."""
    needed: int
    """For all that a run writes."""
    free: int


class Outputs:
    """The folders of one run. Everything is written beside its place and moved there when it is whole."""

    def __init__(self, output_dir: str) -> None:
        """Look at the place, write nothing yet.

        Raises:
            MachineError: no right to write there, or something else stands there.
        """
        # Path.expanduser raises for a user who does not exist; here `~nobody` is then a name like any other.
        self.folder = Path(os.path.expanduser(output_dir))
        self.best = self.folder / "best_model"
        self.last = self.folder / "last_model"
        self.prepared = beside(self.best)
        """The best model so far."""
        self.published = False
        """Whether `best_model/` is this run's."""
        for place in (self.best, self.last):
            check_place(place)

    def check_room(self, model: PreTrainedModel, save_last: bool) -> Room:
        """See that the disk holds what the run will write: the best model, the next one beside it, a copy in MLflow.

        Args:
            model: that is to be saved.
            save_last: whether `last_model/` is written too.

        Raises:
            MachineError: there is less free than needed.
        """
        holder = next(parent for parent in self.best.absolute().parents if parent.exists())
        weights = sum(weight.nbytes for weight in (*model.parameters(), *model.buffers()))
        room = Room(weights, weights * (COPIES + save_last) + SMALL_FILES, shutil.disk_usage(holder).free)
        if room.free < room.needed:
            what = f"{room.needed / 1e6:,.0f} MB are needed for the models, {room.free / 1e6:,.0f} MB are free"
            raise MachineError.at(str(holder), what, "free some space, or set output_dir to a folder on another disk")
        return room

    def keep(self, classifying: Classifying) -> None:
        """Write the best model so far, in place of the one before.

        Raises:
            MachineError: it cannot be written; the one before still stands.
        """
        publish(self._write(classifying), self.prepared)

    def save_last(self, classifying: Classifying, manifest: Manifest | None = None) -> None:
        """Write the model as it is now to `last_model/`, with a manifest if there is one.

        Raises:
            MachineError: it cannot be written; what stood there still does.
        """
        fresh = self._write(classifying)
        if manifest:
            write_manifest(fresh, manifest)
        publish(fresh, self.last)

    def publish(self, manifest: Manifest) -> None:
        """Complete the best model with its manifest and card, and move it into place.

        Raises:
            MachineError: it cannot be written; what stood in `best_model/` still does.
        """
        write_manifest(self.prepared, manifest)
        # A signal in between would find the run's model in its place, and yet not published.
        with held_signals():
            publish(self.prepared, self.best)
            self.published = True

    def keep_after_stop(self, manifest: Manifest | None = None) -> Path | None:
        """Move the best model so far to `last_model/`; `best_model/` is for runs that ended.

        A second signal waits until it is done.

        Returns:
            Where it is; None if there is none yet, or if it is in `best_model/` already.

        Raises:
            MachineError: it cannot be moved; what stood in `last_model/` still does.
        """
        with held_signals():
            if self.published or not self.prepared.exists():
                return None
            if manifest:
                # The disk may be full by now. A model without a manifest is better than none.
                with suppress(MachineError):
                    write_manifest(self.prepared, manifest)
            publish(self.prepared, self.last)
            return self.last

    def clean(self) -> None:
        """Remove what was written beside."""
        with held_signals():
            for left in (self.prepared, self._fresh()):
                shutil.rmtree(left, ignore_errors=True)

    def _write(self, classifying: Classifying) -> Path:
        """The model in a folder of its own, beside its place."""
        remove_stale(self.best)
        fresh = self._fresh()
        write_model(fresh, classifying)
        return fresh

    def _fresh(self) -> Path:
        return self.prepared.with_name(self.prepared.name + ".new")
