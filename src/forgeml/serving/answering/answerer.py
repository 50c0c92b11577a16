"""From a request's texts to the model's answers: admission, the model that answers, its time, and clients that go."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from forgeml.errors import MachineError
from forgeml.inference.explaining.explanation import Explanation
from forgeml.machine import is_out_of_memory
from forgeml.records import ListedTexts
from forgeml.serving.answering.current import Current
from forgeml.serving.answering.cutting import cut_texts
from forgeml.serving.answering.explaining import Explainer
from forgeml.serving.answering.microbatch import ClosedError, Reading, UnreadableError
from forgeml.serving.answering.served import Served
from forgeml.serving.asking import Answers, Asked, Facts
from forgeml.serving.limits import Limits
from forgeml.serving.refusals import ClientGone, Refusal

log = logging.getLogger(__name__)

SOON_S = 0.05
"""Most answers are there within this time; only those who wait longer are watched whether they still wait."""

RETRY_S = 1

COMING_S = 0.005
"""About the time from a request's head to the place where its texts wait."""

BUSY = Refusal(
    *(503, "too_busy", f"too many texts are waiting for the model; try again in {RETRY_S} second"),
    headers={"Retry-After": str(RETRY_S)},
)

Result = TypeVar("Result")
Until = Callable[[], Coroutine[Any, Any, None]]
"""Returns when the client has gone."""


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long an answer is waited for."""

    ends: float
    """In the time of the event loop."""
    gone: Until


class Answerer:
    """Belongs to the event loop, all of it."""

    def __init__(
        self, current: Current, limits: Limits, on_waiting: Callable[[int], None] = lambda texts: None
    ) -> None:
        """Answer by the current model.

        Args:
            current: holds the model.
            limits: how many texts may wait, and how long.
            on_waiting: told how many texts are at work or waiting, when that changes.
        """
        self._current, self._limits, self._on_waiting = current, limits, on_waiting
        self._explainer = Explainer(limits.waiting_explanations)
        self._waiting = 0
        self._coming = 0

    @property
    def full(self) -> bool:
        """Whether no more texts are taken for now."""
        return self._waiting >= self._limits.waiting_texts

    def take_in(self) -> bool:
        """Whether a request whose head has come may go on; until its texts can wait, it counts as one of them."""
        if self._waiting + self._coming >= self._limits.waiting_texts:
            return False
        self._coming += 1
        asyncio.get_running_loop().call_later(COMING_S, self._has_come)
        return True

    def _has_come(self) -> None:
        self._coming -= 1

    @property
    def problem(self) -> str | None:
        """Why a newer model could not be taken."""
        return self._current.status().problem

    def refuse_if_full(self) -> None:
        """Raise what is told to those who are not taken.

        Raises:
            Refusal: as many texts wait as may.
        """
        if self.full:
            raise dataclasses.replace(BUSY)

    def served(self) -> Served:
        """The model that answers now.

        Raises:
            Refusal: there is none yet.
        """
        if self._current.served is None:
            message = "the model is being loaded" if self._current.error is None else "the model could not be loaded"
            raise Refusal(503, "not_ready", message, headers={"Retry-After": str(RETRY_S)})
        return self._current.served

    async def answer(self, parse: Callable[[Facts], Asked], patience: Patience) -> tuple[Asked, Answers]:
        """What one model says of all the texts of a request.

        Args:
            parse: understands the request, knowing the model that will answer.
            patience: of the client.

        Raises:
            Refusal: there is no model yet, too much is waiting, the request is not in order, or its time is over.
            ClientGone: nobody waits any more; texts that wait are taken out of the queue.
        """
        while True:
            served = self.served()
            self.refuse_if_full()
            asked = parse(served.facts)
            texts, cut = cut_texts(asked.texts, self._limits.characters, served.reads)
            # Between the look at the model and here another one may have taken its place.
            with suppress(ClosedError):
                reading = await self._read(served, texts, patience)
                break
        truncated = [beyond or lost for beyond, lost in zip(cut, reading.lost, strict=True)]
        return asked, Answers(served.classifier.answers(reading.logits), reading.logits, truncated, served.facts)

    async def explain(
        self, parse: Callable[[Facts], tuple[str, str | None, str | None]], patience: Patience
    ) -> tuple[Explanation, Facts]:
        """Which words the answer to a text, or a pair of them, rests on.

        Raises:
            Refusal: as `answer`, or because too many explanations are waiting.
            ClientGone: nobody waits any more.
        """
        served = self.served()
        self.refuse_if_full()
        text, pair, label = parse(served.facts)
        if max(len(text), len(pair or "")) > self._limits.characters:
            # Of a part of it the places of the words would be others.
            message = f"texts of up to {self._limits.characters:,} characters are explained"
            raise Refusal(422, "too_long", message)
        work = asyncio.ensure_future(self._explainer.explain(served.classifier, text, pair, label))
        try:
            return await _outcome(work, patience), served.facts
        except UnreadableError as error:
            raise _unreadable(error) from error

    def close(self) -> None:
        """End the thread of the explanations."""
        self._explainer.close()

    async def _read(self, served: Served, texts: ListedTexts, patience: Patience) -> Reading:
        future = served.batcher.submit(texts)
        self._count(len(texts))
        future.add_done_callback(lambda _: self._count(-len(texts)))
        try:
            return await _outcome(future, patience)
        except UnreadableError as error:
            raise _unreadable(error) from error

    def _count(self, texts: int) -> None:
        self._waiting += texts
        self._on_waiting(self._waiting)


def _unreadable(error: UnreadableError) -> Refusal:
    cause = error.__cause__
    # Its kind alone: what it says may hold the text.
    log.warning("unreadable", extra={"facts": {"error": type(cause).__name__}})
    if isinstance(cause, MachineError) or (cause is not None and is_out_of_memory(cause)):
        message = "not enough memory for this text; try again later, or send less of it"
        return Refusal(503, "out_of_memory", message, headers={"Retry-After": str(RETRY_S)})
    which = "the texts" if error.place is None else f"text {error.place}, counted from 0,"
    return Refusal(422, "unreadable", f"the model gives no answer to {which} of this request")


async def _outcome(work: asyncio.Future[Result], patience: Patience) -> Result:
    """What comes of the work; without the client, or after its time, the work is cancelled."""
    loop = asyncio.get_running_loop()
    try:
        await asyncio.wait({work}, timeout=min(SOON_S, max(0.0, patience.ends - loop.time())))
        if not work.done():
            await _wait_with_client(work, patience, loop)
        if not work.done():
            message = "no answer in time; try again later, or send less at once"
            raise Refusal(503, "timed_out", message, headers={"Retry-After": str(RETRY_S)})
        return work.result()
    finally:
        if not work.done():
            work.cancel()


async def _wait_with_client(work: asyncio.Future[Result], patience: Patience, loop: asyncio.AbstractEventLoop) -> None:
    gone = asyncio.ensure_future(patience.gone())
    try:
        left = max(0.0, patience.ends - loop.time())
        both: set[asyncio.Future[Any]] = {work, gone}
        await asyncio.wait(both, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if gone.done() and not work.done():
            raise ClientGone
    finally:
        gone.cancel()
