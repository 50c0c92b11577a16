"""The thread that the model works in: texts of many requests, read together by length."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np

from forgeml.batch import Batch
from forgeml.data.batches import collate, gathered
from forgeml.data.tokens.encoding import Encoder
from forgeml.model.logits import Logits
from forgeml.records import EncodedTexts, ListedTexts
from forgeml.serving.answering.planning import Size, choose_batch
from forgeml.serving.limits import Limits


class Model(Protocol):
    """What reads the texts: a `Classifier`."""

    def encoder(self, pairs: bool) -> Encoder:
        """What makes token ids of texts, or of pairs of them."""

    def forward(self, batch: Batch) -> Logits:
        """Logits of a batch's texts, shape (texts, outputs)."""


class UnreadableError(Exception):
    """The model raised an error over a text read alone, which is the cause of this one, or gave no finite number."""

    def __init__(self, place: int | None) -> None:
        """Keep which text of its request it is, counted from 0; None if the request could not even be encoded."""
        self.place = place
        super().__init__("the model cannot read this text")


@dataclass(frozen=True)
class Reading:
    """What the model gives for all texts of a request."""

    logits: Logits
    """Shape (texts, outputs)."""
    lost: Sequence[bool]
    """Of which texts not all tokens were read, shape (texts,)."""


class ClosedError(Exception):
    """This model answers no more; another one has taken its place."""


OnBatch = Callable[[int, int, float], None]
"""Told the texts of a batch, its tokens with padding, and the seconds that it took."""


class Microbatcher:
    """Reads texts in a thread of its own, in the order that wastes least, and no text for nobody.

    `submit` belongs to the event loop, all else to any thread.
    """

    def __init__(self, model: Model, limits: Limits, on_batch: OnBatch = lambda texts, tokens, seconds: None) -> None:
        """Start the thread."""
        self._model, self._limits, self._on_batch = model, limits, on_batch
        self._encoders: dict[bool, Encoder] = {}
        self._arrivals: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._open = True
        self._closing = False
        self._door = threading.Lock()
        self._began: float | None = None
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def submit(self, texts: ListedTexts) -> asyncio.Future[Reading]:
        """Have texts read. A future that is cancelled takes those of its texts that still wait out of the queue.

        The future ends with UnreadableError only if that is due to one of its own texts.

        Raises:
            ClosedError: `close` was called before.
        """
        loop = asyncio.get_running_loop()
        job = _Job(texts, loop, loop.create_future(), [None] * len(texts))
        with self._door:
            if self._closing:
                raise ClosedError
            self._arrivals.put(job)
        return job.future

    @property
    def seconds_at_work(self) -> float:
        """How long the model has been reading the batch that it reads now; 0 while it rests."""
        began = self._began
        return 0.0 if began is None else time.monotonic() - began

    @property
    def is_alive(self) -> bool:
        """Whether texts are read at all."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Let the thread end when all that was submitted is answered."""
        with self._door:
            self._closing = True
            self._arrivals.put(None)

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread, so long at most: a model that hangs cannot be stopped."""
        self._thread.join(seconds)

    def _run(self) -> None:
        pool: list[_Waiting] = []
        while self._open or pool:
            pool += self._arrived(wait=not pool)
            pool = [one for one in pool if not one.job.future.done()]
            if pool:
                chosen = choose_batch([one.size for one in pool], self._limits)
                self._read([pool[place] for place in chosen])
                taken = set(chosen)
                pool = [one for place, one in enumerate(pool) if place not in taken]

    def _arrived(self, wait: bool) -> list[_Waiting]:
        """The texts of all requests that have come, encoded together."""
        jobs = list(self._drained(wait))
        waiting: list[_Waiting] = []
        for pairs in (False, True):
            alike = [job for job in jobs if job.texts.pairs == pairs]
            if alike:
                waiting += self._encoded(alike, pairs)
        return waiting

    def _drained(self, wait: bool) -> Iterator[_Job]:
        """What has come; if `wait`, and nothing has, the first that comes."""
        while self._open:
            try:
                job = self._arrivals.get(block=wait)
            except queue.Empty:
                return
            wait = False
            if job is None:
                self._open = False
            elif not job.future.cancelled():
                yield job

    def _encoded(self, jobs: Sequence[_Job], pairs: bool) -> list[_Waiting]:
        try:
            if pairs not in self._encoders:
                self._encoders[pairs] = self._model.encoder(pairs)
            firsts = [text for job in jobs for text in job.texts.firsts]
            seconds = [text for job in jobs for text in job.texts.seconds or ()] if pairs else None
            encoded = self._encoders[pairs].encode(ListedTexts(firsts, seconds))
        except Exception as error:  # noqa: BLE001 towards the libraries; one request's text must not cost another its answer
            if len(jobs) > 1:
                return [one for job in jobs for one in self._encoded([job], pairs)]
            jobs[0].fail(None, error)
            return []
        owners = [(job, place) for job in jobs for place in range(len(job.texts))]
        sizes = _sizes(encoded)
        return [_Waiting(job, place, encoded, row, sizes[row]) for row, (job, place) in enumerate(owners)]

    def _read(self, together: Sequence[_Waiting]) -> None:
        """Read a batch; where that fails, each of its texts alone, so that only the one to blame has no answer."""
        self._began = began = time.monotonic()
        try:
            encoded = gathered([(one.encoded, one.row) for one in together])
            batch = collate(encoded, np.arange(len(together)))
            logits = self._model.forward(batch)
            if not np.isfinite(logits).all():
                raise ArithmeticError("the model gave a number that is not finite")
        except Exception as error:  # noqa: BLE001 towards the libraries, as above
            if len(together) > 1:
                for one in together:
                    self._read([one])
            else:
                together[0].job.fail(together[0].place, error)
            return
        finally:
            self._began = None
        for row, one in enumerate(together):
            one.job.add(one.place, logits[row], bool(encoded.lost[row]))
        # Counts that cannot be written, as on a full disk, are no reason to answer no more.
        with suppress(OSError):
            self._on_batch(len(together), batch.input_ids.size, time.monotonic() - began)


@dataclass
class _Job:
    """One request's texts on their way; all but `future` belongs to the thread."""

    texts: ListedTexts
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Reading]
    rows: list[tuple[Logits, bool] | None]
    """For each text its logits, shape (outputs,), and whether something was not read."""
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = len(self.texts)

    def add(self, place: int, logits: Logits, lost: bool) -> None:
        """Keep what was read of one text; with the last one the request is answered."""
        self.rows[place] = (logits, lost)
        self.left -= 1
        if not self.left:
            rows = [row for row in self.rows if row is not None]
            self._tell(Reading(np.stack([row for row, _ in rows]), [flag for _, flag in rows]))

    def fail(self, place: int | None, error: Exception) -> None:
        """End the request without an answer."""
        unreadable = UnreadableError(place)
        unreadable.__cause__ = error
        self._tell(unreadable)

    def _tell(self, ended: Reading | UnreadableError) -> None:
        def end() -> None:
            if self.future.done():
                return
            if isinstance(ended, Reading):
                self.future.set_result(ended)
            else:
                self.future.set_exception(ended)

        # After the server's end there is no loop left to tell.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(end)


@dataclass(frozen=True)
class _Waiting:
    """One text that waits for the model."""

    job: _Job
    place: int
    """In the request."""
    encoded: EncodedTexts
    row: int
    """In the encoded texts."""
    size: Size


def _sizes(encoded: EncodedTexts) -> list[Size]:
    lengths = np.diff(encoded.offsets)
    if encoded.bounds is None:
        return [Size(1, length) for length in lengths.tolist()]
    bounds = encoded.bounds.tolist()
    return [Size(end - start, int(lengths[start:end].max())) for start, end in pairwise(bounds)]
