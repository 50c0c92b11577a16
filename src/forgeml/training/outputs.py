"""What a run leaves on disk: `best_model/`, and `last_model/` where it was asked for or the run was stopped."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from forgeml.model.publishing import beside, check_place, publish
from forgeml.model.saved import write_manifest, write_model
from forgeml.records import Manifest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Outputs:
    """The folders of one run. Everything is written beside its place and moved there when it is whole."""

    def __init__(self, output_dir: str) -> None:
        """Look at the place, write nothing yet.

        Raises:
            MachineError: no right to write there, or something else stands there.
        """
        folder = Path(output_dir).expanduser()
        self.best = folder / "best_model"
        self.last = folder / "last_model"
        self.prepared = beside(self.best)
        """The best model so far."""
        for place in (self.best, self.last):
            check_place(place)

    def keep(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        """Write the best model so far, in place of the one before."""
        fresh = self._fresh()
        write_model(fresh, model, tokenizer, max_length)
        publish(fresh, self.prepared)

    def save_last(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        """Write the model as it is now to `last_model/`."""
        fresh = self._fresh()
        write_model(fresh, model, tokenizer, max_length)
        publish(fresh, self.last)

    def publish(self, manifest: Manifest) -> None:
        """Complete the best model with its manifest and card, and move it into place."""
        write_manifest(self.prepared, manifest)
        publish(self.prepared, self.best)

    def keep_after_stop(self) -> Path | None:
        """Move the best model so far, if there is one, to `last_model/`; `best_model/` is for runs that ended."""
        if not self.prepared.exists():
            return None
        publish(self.prepared, self.last)
        return self.last

    def clean(self) -> None:
        """Remove what was written beside."""
        for left in (self.prepared, self._fresh()):
            shutil.rmtree(left, ignore_errors=True)

    def _fresh(self) -> Path:
        return self.prepared.with_name(self.prepared.name + ".new")
