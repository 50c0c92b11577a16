"""Journals into their runs: what the store did not take in time, and how runs ended that could not say it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from forgeml.config.opening import hide_secrets
from forgeml.errors import DataError, ForgeError, HubError, MachineError, Problem, counted, first_line
from forgeml.training.tracking.journal import Journal, Told, journals_in, read_journal
from forgeml.training.tracking.manners import manners, patience
from forgeml.training.tracking.records import Ended, Model, Opened, Uploaded, Whole
from forgeml.training.tracking.sending import BATCH, attempt, deliver
from forgeml.training.tracking.store import OpenRun, Store

SENT, PARTLY, KNOWN, BUSY, FAILED = "sent", "sent without its model", "in MLflow already", "in use", "failed"

CALL_SECONDS = 30
"""How long a server may take to answer. No training waits."""


@dataclass
class Synced:
    """What came of one journal."""

    journal: str
    outcome: str = BUSY
    """One of the above."""
    store: str = ""
    run_id: str = ""
    """Empty if the run is not in the store."""
    status: str = ""
    """How the run ended, in MLflow's words."""
    records: int = 0
    """That the journal has."""
    refused: int = 0
    """Records that the store does not take."""
    damaged: int = 0
    """Lines of the journal that cannot be read."""
    model_id: str = ""
    problem: str = ""
    """Why it failed, or what the store does not get."""


def sync(place: Path, tracking_uri: str | None = None) -> list[Synced]:
    """Send all journals of a place.

    Args:
        place: an output folder, or one journal.
        tracking_uri: where the store is now; None: where the journals say.

    Raises:
        DataError: a file is no journal.
    """
    with manners(CALL_SECONDS):
        return [_or_failed(path, tracking_uri, alone=place.is_file()) for path in journals_in(place)]


def settle(path: Path, store: str, is_wanted: Callable[[], bool] = lambda: False) -> str:
    """Send what an earlier run has left in its journal, but no model; forget a journal that is not needed any more.

    Args:
        path: of the journal.
        store: that answers just now; journals of others stay as they are.
        is_wanted: whether somebody else waits for the store, so that this has to stop.

    Returns:
        A sentence on the run, if the store knows more of it now.
    """
    told = read_journal(path)
    if told and told.start.store != hide_secrets(store):
        return ""
    found = replay(path, store, with_model=False, is_wanted=is_wanted)
    if found.outcome in (SENT, KNOWN) and not (found.refused or found.damaged):
        path.unlink(missing_ok=True)
    if found.outcome in (SENT, PARTLY):
        return f"an earlier run in this folder, {found.run_id}, is {found.status} in MLflow now"
    return ""


def replay(
    path: Path,
    tracking_uri: str | None = None,
    *,
    with_model: bool = True,
    is_wanted: Callable[[], bool] = lambda: False,
) -> Synced:
    """Send one journal. What the store has already stays as it is; a journal that is sent whole has done its work.

    Args:
        path: of the journal.
        tracking_uri: of the store; None: as the journal has it, which keeps no passwords.
        with_model: whether to send the saved model too.
        is_wanted: whether somebody else waits for the store, so that this has to stop.

    Raises:
        DataError: the file is no journal.
    """
    found = Synced(str(path))
    try:
        journal = Journal.reopen(path)
    except BlockingIOError:
        return found
    except OSError as error:
        return replace(found, outcome=FAILED, problem=first_line(error))
    try:
        told = read_journal(path)
        if told is None:
            journal.remove()
            return replace(found, outcome=KNOWN)
        replaying = _Replaying(journal, told, found, tracking_uri or told.start.store, is_wanted)
        if told.whole and replaying.is_at_home:
            found.outcome = KNOWN
        elif told.ended or journal.locked or not told.start.owner.may_live:
            journal.mend()
            problem = attempt(lambda: replaying.send(with_model))
            found.outcome, found.problem = (FAILED, problem) if problem else (found.outcome, found.problem)
        return found
    finally:
        journal.close()


def _or_failed(path: Path, tracking_uri: str | None, *, alone: bool) -> Synced:
    """What came of one journal; among several, one that is none keeps nobody else from being sent."""
    try:
        return replay(path, tracking_uri)
    except DataError as error:
        if alone:
            raise
        return Synced(str(path), FAILED, problem=error.problems[0].what)


def describe(found: Synced) -> tuple[str, str]:
    """What came of a journal in words: a topic and a text."""
    run = [f"run {found.run_id}"] if found.run_id else []
    status = [found.status] if found.status else []
    refused = [f"{counted(found.refused, 'record')} not taken"] if found.refused else []
    damaged = [f"{counted(found.damaged, 'line')} cannot be read"] if found.damaged else []
    problem = [found.problem] if found.problem else []
    known = ", ".join([*run, *status, counted(found.records, "record")])
    return found.outcome, "; ".join([known, *refused, *damaged, *problem])


def failure(found: Sequence[Synced]) -> ForgeError | None:
    """An error with a problem for each journal that could not be sent; None if there is none."""
    failed = [one for one in found if one.outcome == FAILED]
    problems = [Problem(one.store or one.journal, _what(one), _fix(one)) for one in failed]
    kind = (
        HubError if any("://" in one.store and not one.store.startswith("sqlite") for one in failed) else MachineError
    )
    return kind(problems) if problems else None


class _Replaying:
    """One journal on its way into its run; `found` says how far it has come."""

    def __init__(self, journal: Journal, told: Told, found: Synced, uri: str, is_wanted: Callable[[], bool]) -> None:
        self._journal, self._told, self._found, self._uri = journal, told, found, uri
        self._is_wanted = is_wanted
        self.is_at_home = hide_secrets(uri) == told.start.store
        """Whether the store is the one that the run is in."""
        self._ended = told.ended or Ended("KILLED", told.last_time)
        found.store, found.run_id, found.model_id = hide_secrets(uri), told.run_id, told.model_id
        found.records, found.damaged = len(told.records), told.damaged
        found.status = told.ended.status if told.ended else ""

    def send(self, with_model: bool) -> None:
        """All of it, the status first, which is wrong as long as it is missing."""
        told, found = self._told, self._found
        store = Store.at(self._uri)
        run = store.find(told.start, told.run_id) or store.create(told.start)
        if run.run_id != told.run_id:
            self._journal.append([Opened(run.run_id)])
        run.end(self._ended.status, self._ended.time)
        found.run_id, found.status = run.run_id, self._ended.status
        for start in range(0, len(told.records), BATCH):
            if self._is_wanted():
                raise InterruptedError("the store is wanted for another run")
            refused = deliver(run, told.records[start : start + BATCH])
            found.refused += len(refused)
            found.problem = found.problem or next(iter(refused), "")
        found.outcome = PARTLY if told.model and not with_model else SENT
        if told.model and with_model:
            self._send_model(run, told.model)
        if found.outcome == SENT:
            self._put_away()

    def _send_model(self, run: OpenRun, model: Model) -> None:
        if not model.is_there():
            self._found.problem = f"its model is not sent, as it is not in {model.folder} any more"
            return
        model_id, is_there = run.place_for(model)
        if not is_there:
            with patience():
                run.upload_model(model_id, model)
        self._found.model_id = model_id

    def _put_away(self) -> None:
        if self._ended.status == "FINISHED" and not self._found.refused:
            self._journal.remove()
            return
        if not self.is_at_home:
            return
        # Such a run may be continued, and then it has to be known what was told already.
        model_id = self._found.model_id
        self._journal.append([self._ended, *([Uploaded(model_id)] if model_id else []), Whole()])


def _what(failed: Synced) -> str:
    run = f"the run {failed.run_id}" if failed.run_id else "a run"
    return f"{run} of {failed.journal} is not sent: {failed.problem}"


def _fix(failed: Synced) -> str:
    if "***" in failed.store:
        return "its address holds a password, which journals do not keep: name it with --tracking-uri"
    return "see that the store is there and takes it, then run the same command again; --tracking-uri names another"
