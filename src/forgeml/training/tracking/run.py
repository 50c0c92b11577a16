"""A run as its process keeps it: a journal, which has each record first, and a thread that has the store to itself."""

from __future__ import annotations

import shlex
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from forgeml.errors import counted
from forgeml.machine import first_signal_waits
from forgeml.training.tracking.journal import journals_in
from forgeml.training.tracking.manners import patience
from forgeml.training.tracking.past import Begun
from forgeml.training.tracking.records import Ended, Model, Opened, Record, Uploaded, Whole
from forgeml.training.tracking.sending import Sender
from forgeml.training.tracking.store import OpenRun, Store
from forgeml.training.tracking.syncing import settle

OPENING_S = 5.0
"""How long the training waits for its run to be open; after that, the run is opened when the store answers."""
LAST_S, LAST_STOPPED_S, LAST_IN_DOUBT_S = 30.0, 10.0, 5.0
"""How long the end of a run waits for the store: as a rule, after a signal, and if the store did not answer before."""
UPLOAD_S = 1800.0
"""How long it waits for the model to arrive."""


class TrackedRun:
    """A run on its way into the store. No method waits longer than the times above say."""

    def __init__(self, begun: Begun, tracking_uri: str, warn: Callable[[str], None]) -> None:
        """Prepare what is needed; `open` begins.

        Args:
            begun: the run with its journal.
            tracking_uri: of the store.
            warn: is told what goes wrong, in the thread that the methods are called in.
        """
        self.model_id = ""
        """MLflow's id of the uploaded model; empty as long as there is none."""
        self._begun, self._uri, self._warn = begun, tracking_uri, warn
        self._journal = begun.journal
        self._sender = Sender(self._open_run, self._opened)
        self._asked = begun.continued
        self._model: Model | None = None
        self._news: deque[str] = deque()
        self._told: set[str] = set()
        self._over = False

    @property
    def run_id(self) -> str:
        """MLflow's id of the run; empty as long as it is not open."""
        return self._sender.run.run_id if self._sender.run else ""

    @property
    def state(self) -> dict[str, Any]:
        """By which the run is known when it goes on."""
        return {"run_id": self.run_id or self._begun.run_id, "key": self._begun.start.key}

    def open(self) -> None:
        """Open it, or leave that to the thread if it takes long; then look after what earlier runs have left here."""
        self._sender.put(self._begun.past.unsent)
        self._sender.start(OPENING_S)
        own = self._journal.path
        for path in journals_in(own.parent):
            if path != own:
                self._sender.ask(partial(self._settle, path), later=True)
        self._say()

    def log(self, record: Record) -> None:
        """Keep a record and hand it on, but for what was known before."""
        fresh = self._begun.past.without_known(record)
        if fresh and not self._over:
            # Nothing may come in between: what is in the journal and was not handed on would be taken for sent.
            with first_signal_waits():
                self._journal.append([fresh])
                self._sender.put([fresh])
        self._say()

    def upload(self, model: Model) -> None:
        """Put the saved model into the store; this waits for it, which may take minutes."""
        self._model = model
        self._journal.append([model])
        problem = self._upload(model)
        if not problem:
            self._model = None
            self._journal.append([Uploaded(self.model_id)])
        elif self.run_id:
            self._warn(f"the model is not in MLflow, only in {model.folder}: {problem}; {self._fix}")

    def finish(self, status: str, seconds: float) -> None:
        """Close the run, waiting for the store for at most so long, and say what it does not have then."""
        if self._over:
            return
        ended = Ended(status, int(time.time() * 1000))
        self._journal.append([ended])
        whole = self._sender.finish(ended, self._longest(seconds)) and self._model is None
        self._over = True
        self._say()
        self._say_what_is_missing(ended, whole)
        if whole and status == "FINISHED" and not self._sender.refused:
            self._journal.remove()
        elif whole:
            # It may be continued, and then it has to be known what was told already.
            self._journal.append([Whole()])
        self._journal.close()

    def _open_run(self) -> OpenRun:
        """Called in the sender's thread."""
        begun, store = self._begun, Store.at(self._uri)
        # Of an attempt before, only the answer may have been lost.
        run = store.find(begun.start, begun.run_id) if self._asked else None
        if run is None:
            self._asked = True
            run = store.create(begun.start)
        elif begun.continued:
            run.resume()
        if begun.run_id and run.run_id != begun.run_id:
            self._news.append(f"the run {begun.run_id} is no longer in MLflow; the run {run.run_id} has what comes")
        return run

    def _settle(self, path: Path, run: OpenRun) -> None:
        """Called in the sender's thread."""
        if told := settle(path, self._uri, self._sender.is_wanted):
            self._news.append(told)

    def _opened(self, run_id: str) -> None:
        """Called in the sender's thread."""
        if run_id != self._begun.run_id:
            self._journal.append([Opened(run_id)])

    def _upload(self, model: Model) -> str:
        """Why the model is not in the store, or nothing."""
        found: list[tuple[str, bool]] = []
        place = self._sender.ask(lambda run: found.append(run.place_for(model)))
        if problem := place.wait(self._longest(LAST_S)):
            return problem
        ((model_id, is_there),) = found
        if not is_there:
            with patience():
                problem = self._sender.ask(lambda run: run.upload_model(model_id, model)).wait(UPLOAD_S)
        self.model_id = "" if problem else model_id
        return problem

    def _longest(self, seconds: float) -> float:
        return min(seconds, LAST_IN_DOUBT_S) if self._sender.problem or not self.run_id else seconds

    def _say(self) -> None:
        """What the other thread has found out meanwhile."""
        while self._news:
            self._warn(self._news.popleft())
        if self._sender.problem:
            what = "MLflow does not answer, the training goes on and its records wait in"
            self._warn_once("away", f"{what} {self._journal.path}: {self._sender.problem}")
        if self._journal.problem:
            what = f"{self._journal.path} cannot be written, so what MLflow does not take is lost"
            self._warn_once("journal", f"{what}: {self._journal.problem}")

    def _warn_once(self, topic: str, text: str) -> None:
        if topic not in self._told:
            self._told.add(topic)
            self._warn(text)

    def _say_what_is_missing(self, ended: Ended, whole: bool) -> None:
        sender, run_id = self._sender, self.run_id
        if sender.refused:
            what = f"MLflow does not take {counted(len(sender.refused), 'record')} of the run {run_id}"
            self._warn(f"{what}, which {self._journal.path} keeps: {sender.refused[0]}")
        if not run_id:
            what = "the run is not in MLflow"
        elif sender.closed != ended:
            what = f"MLflow shows the run {run_id} as running, though it is {ended.status}"
        elif sender.waiting:
            what = f"{counted(sender.waiting, 'record')} of the run {run_id} are not in MLflow"
        else:
            # If its model is not there, that has been said.
            return
        self._warn(f"{what}: {sender.problem or 'it takes too long'}; {self._fix}")

    @property
    def _fix(self) -> str:
        path = self._journal.path
        if self._journal.problem:
            return f"they are lost, as {path} could not be written"
        return f"{path} keeps all; to send it: forgeml sync {shlex.quote(str(path.parent.parent))}"
