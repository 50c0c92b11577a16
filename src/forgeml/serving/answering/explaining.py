"""Explanations on the side: one at a time, and a few waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from forgeml.inference.classifier import Classifier
from forgeml.inference.explaining.explanation import Explanation
from forgeml.serving.answering.microbatch import UnreadableError
from forgeml.serving.refusals import Refusal

RETRY_S = 2


class _Unwanted(Exception):  # noqa: N818 not an error: nobody waits any more
    """Ends the work on an explanation that nobody waits for."""


class Explainer:
    """Explains answers in a thread of its own, which works beside that of the model."""

    def __init__(self, most: int) -> None:
        """Prepare.

        Args:
            most: explanations at work or waiting.
        """
        self._most = most
        self._waiting = 0
        self._pool = ThreadPoolExecutor(1, "explanations")

    async def explain(self, classifier: Classifier, text: str, pair: str | None, label: str | None) -> Explanation:
        """Which words the answer rests on. The work ends early when the caller is cancelled.

        Raises:
            Refusal: too many are waiting.
            UnreadableError: the model raised an error over the text, or gave no finite number.
        """
        if self._waiting >= self._most:
            message = f"{self._waiting} explanations are at work or waiting; try again in {RETRY_S} seconds"
            raise Refusal(503, "too_many_explanations", message, headers={"Retry-After": str(RETRY_S)})
        self._waiting += 1
        unwanted = threading.Event()

        def stop_if_unwanted(done: int) -> None:
            if unwanted.is_set():
                raise _Unwanted

        loop = asyncio.get_running_loop()
        explain = partial(classifier.explain, text, pair, label, stop_if_unwanted)
        work = loop.run_in_executor(self._pool, _explained, explain)
        work.add_done_callback(self._left)
        try:
            return await asyncio.shield(work)
        finally:
            unwanted.set()

    def close(self) -> None:
        """Let the thread end, after what it works on."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _left(self, work: asyncio.Future[Explanation]) -> None:
        self._waiting -= 1
        # Looked at, or else the loop complains of an error that nobody has seen.
        if not work.cancelled():
            work.exception()


def _explained(explain: Callable[[], Explanation]) -> Explanation:
    try:
        explanation = explain()
        if not np.isfinite([word.weight for word in explanation.words]).all():
            raise ArithmeticError("the model gave a number that is not finite")
    except _Unwanted:
        raise
    except Exception as error:  # towards the libraries
        raise UnreadableError(0) from error
    return explanation
