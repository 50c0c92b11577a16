"""What a run leaves on disk: `best_model/`, `last_model/` where it was stopped, and `checkpoints/` while it goes on."""

from __future__ import annotations

import os.path
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgeml.errors import MachineError
from forgeml.folders import identity, size_of
from forgeml.machine import held_signals
from forgeml.model.publishing import beside, check_place, publish, remove_stale, writing
from forgeml.model.saved import Classifying, write_manifest, write_model
from forgeml.records import Manifest
from forgeml.training.keeping.checkpoints import Checkpoints, Tensors, copy_linked, unlinked

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
    """With what older checkpoints of the run take, which go as newer ones come."""
    checkpoints: int = 0
    """Of what is needed, for checkpoints."""


class Outputs:
    """The folders of one run. Everything is written beside its place and moved there when it is whole."""

    def __init__(self, output_dir: str, keep_checkpoints: int = 2, on_existing_model: str = "replace") -> None:
        """Look at the place, write nothing yet. The settings are those of the same names.

        Raises:
            MachineError: no right to write there, or something else stands there.
        """
        # Path.expanduser raises for a user who does not exist; here `~nobody` is then a name like any other.
        self.folder = folder = Path(os.path.expanduser(output_dir))
        # Named now: once the working folder is removed, nothing tells where it was.
        self._name, self._began_in = str(folder.absolute()), identity(folder)
        self._keep_old = on_existing_model == "keep"
        self.best = folder / "best_model"
        self.last = folder / "last_model"
        self.prepared = beside(self.best)
        """The best model so far."""
        self.published = False
        """Whether `best_model/` is this run's."""
        for place in (self.best, self.last):
            check_place(place)
        self.checkpoints = Checkpoints(folder / "checkpoints", keep_checkpoints)
        self._kept_checkpoints = keep_checkpoints

    def check_room(self, model: PreTrainedModel) -> Room:
        """See that the disk holds what the run will write.

        That is the best model, the next one beside it, a copy in MLflow, and the checkpoints with the one that is being
        written, each with a trained weight and two moments of it, and with a best model that may be another one's too.

        Args:
            model: that is to be trained and saved.

        Raises:
            MachineError: there is less free than needed.
        """
        holder = next(parent for parent in self.best.absolute().parents if parent.exists())
        weights = sum(weight.nbytes for weight in (*model.parameters(), *model.buffers()))
        trained = sum(weight.nbytes for weight in model.parameters() if weight.requires_grad)
        checkpoints = (self._kept_checkpoints + 1) * (3 * trained + weights)
        free = shutil.disk_usage(holder).free + size_of(self.checkpoints.folder)
        room = Room(weights, COPIES * weights + checkpoints + SMALL_FILES, free, checkpoints)
        if room.free < room.needed:
            what = (
                f"{room.needed / 1e6:,.0f} MB are needed, of which {checkpoints / 1e6:,.0f} MB for checkpoints, and "
                f"{room.free / 1e6:,.0f} MB are free"
            )
            raise MachineError.at(str(holder), what, "free some space, or set output_dir to a folder on another disk")
        return room

    def check_there(self) -> None:
        """See that the folder is still the one that the run began with, before anything is written there.

        Raises:
            MachineError: it was moved or removed. A new one in its place would hide from the user what the old one has.
        """
        if self._began_in not in (None, identity(self.folder)):
            what = "was moved or removed during the run, so nothing more is written there"
            raise MachineError.at(self._name, what, "put it back, and run the same command again")

    def keep(self, classifying: Classifying) -> None:
        """Write the best model so far, in place of the one before.

        Raises:
            MachineError: it cannot be written; the one before still stands.
        """
        publish(self._write(classifying), self.prepared)

    def write_checkpoint(self, step: int, state: Mapping[str, Any], tensors: Tensors) -> None:
        """Write a checkpoint, with the best model so far in it.

        Raises:
            MachineError: it cannot be written; the ones before still stand.
        """
        self.checkpoints.write(step, state, tensors, self.prepared if self.prepared.exists() else None)

    def take_up(self, best: Path | None) -> None:
        """Begin with the best model that a checkpoint holds, if it has one.

        Raises:
            MachineError: it cannot be copied.
        """
        remove_stale(self.best)
        if best is not None:
            with writing(self.prepared):
                copy_linked(best, self.prepared)

    def publish(self, manifest: Manifest) -> None:
        """Complete the best model with its manifest and card, and move it into place.

        Raises:
            MachineError: it cannot be written; what stood in `best_model/` still does.
        """
        self.check_there()
        write_manifest(self.prepared, manifest)
        # A signal in between would find the run's model in its place, and yet not published.
        with held_signals():
            publish(self.prepared, self.best, keep_old=self._keep_old)
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
            # Nor may it be changed together with the checkpoints, if there is room for a copy of its own.
            with suppress(OSError):
                unlinked(self.prepared)
            publish(self.prepared, self.last)
            return self.last

    def clean(self) -> None:
        """Remove what was written beside."""
        with held_signals():
            for left in (self.prepared, self._fresh()):
                shutil.rmtree(left, ignore_errors=True)

    def _write(self, classifying: Classifying) -> Path:
        """The model in a folder of its own, beside its place."""
        self.check_there()
        remove_stale(self.best)
        fresh = self._fresh()
        write_model(fresh, classifying)
        return fresh

    def _fresh(self) -> Path:
        return self.prepared.with_name(self.prepared.name + ".new")
