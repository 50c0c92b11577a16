"""Which model answers: none while the first is loading, then always the newest that could be opened."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forgeml.errors import ForgeError, first_line
from forgeml.serving.answering.microbatch import OnBatch
from forgeml.serving.answering.served import Opening, Served
from forgeml.serving.answering.watching import Signature, Watch, signature

log = logging.getLogger(__name__)

State = Literal["loading", "failed", "ready", "stuck", "draining"]

STOP_WAIT_S = 5.0
"""How long the end of the server waits for each of its threads."""


@dataclass(frozen=True)
class Status:
    """Whether requests are answered."""

    state: State
    version: str | None
    """Of the model that answers."""
    problem: str | None
    """Why there is no model, or why a newer one could not be taken."""


class Current:
    """Holds the model that answers, and exchanges it when its folder is replaced.

    A request takes `served` once and stays with it; an exchanged model answers what it was asked and then goes.
    """

    def __init__(
        self, how: Opening, watch_s: float, on_batch: OnBatch, on_change: Callable[[Served | None, str], None]
    ) -> None:
        """Prepare; nothing is loaded before `start`.

        Args:
            how: the folder, and how it is opened.
            watch_s: seconds between two looks at the folder; 0 for never.
            on_batch: told of every batch that a model reads.
            on_change: told the model that answers from now on, or None where a folder could not be opened, with
                `loaded`, `reloaded` or `failed`; in another thread than the event loop's.
        """
        self._folder = Path(how.folder).expanduser()
        self._how, self._watch_s, self._on_batch, self._on_change = how, watch_s, on_batch, on_change
        self.served: Served | None = None
        self.error: Exception | None = None
        """Why the folder could not be opened when it was last tried."""
        self._problem: str | None = None
        self._draining = False
        self._watch: Watch | None = None
        self._loader = threading.Thread(target=self._begin, name="loader", daemon=True)

    def start(self) -> None:
        """Load the model in another thread."""
        self._loader.start()

    @property
    def is_loading(self) -> bool:
        """Whether what `start` has begun is still under way."""
        return self._loader.is_alive()

    def load(self) -> None:
        """Load the model, and have its folder watched from then on.

        Raises:
            ConfigError, ModelError, MachineError: it cannot be opened.
        """
        known = signature(self._folder)
        self._exchange()
        self._start_watch(known)

    def drain(self) -> None:
        """Tell from now on that no more requests are wanted; those that come are answered all the same."""
        self._draining = True

    def status(self) -> Status:
        """Whether requests are answered, and by which model."""
        served = self.served
        if served is None:
            return Status("failed" if self.error else "loading", None, self._problem)
        version = served.facts.version
        if self._draining:
            return Status("draining", version, self._problem)
        stuck = not served.batcher.is_alive or served.batcher.seconds_at_work > self._how.limits.answer_s
        return Status("stuck" if stuck else "ready", version, self._problem)

    def close(self) -> None:
        """End the threads, after what they are at; those that hang are left to the end of the process."""
        if self._loader.is_alive():
            self._loader.join(STOP_WAIT_S)
        if self._watch is not None:
            self._watch.stop(STOP_WAIT_S)
        if self.served is not None:
            self.served.batcher.close()
            self.served.batcher.join(STOP_WAIT_S)

    def _begin(self) -> None:
        known = signature(self._folder)
        self._try()
        self._start_watch(known)

    def _start_watch(self, known: Signature) -> None:
        if self._watch_s:
            self._watch = Watch(self._folder, self._watch_s, self._try, known)
            self._watch.start()

    def _exchange(self) -> None:
        """Open the folder beside the model that answers, and have the new one answer."""
        new = Served.open(self._how, self._on_batch)
        old, self.served = self.served, new
        self.error = self._problem = None
        self._on_change(new, "loaded" if old is None else "reloaded")
        if old is not None:
            old.batcher.close()

    def _try(self) -> bool:
        """Whatever goes wrong in a folder, the model that answers goes on, and the folder is looked at again."""
        try:
            self._exchange()
        except Exception as error:
            self._problem = first_line(error)
            known = isinstance(error, ForgeError)
            log.error("model_failed", exc_info=None if known else error, extra={"facts": {"problem": self._problem}})
            self.error = _without_frames(error)
            self._on_change(None, "failed")
            return False
        return True


def _without_frames(error: Exception) -> Exception:
    """The error without what was at work when it was raised, among that perhaps a whole model."""
    inner: BaseException | None = error
    while inner is not None:
        inner.__traceback__ = None
        inner = inner.__cause__ or inner.__context__
    return error
