"""Signals while a server runs: the first one asks it to stop, a later one ends it at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from forgeml.machine import STOP_SIGNALS

ONE_STOP_S = 1.0
"""A further signal within this time belongs to the first: `timeout` and service managers send two at once."""


@contextmanager
def stop_signals(stop: Callable[[int], None], end: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Inside `with`, signals that ask to stop come here; on leaving, they go where they went before.

    Outside the main thread signals cannot be had, and nothing is done.

    Args:
        stop: called with the first signal, between any two steps of the main thread.
        end: called before a later one ends the process with 128 and its number.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopped_at: float | None = None

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal stopped_at
        if stopped_at is None:
            stopped_at = time.monotonic()
            stop(number)
        elif time.monotonic() - stopped_at > ONE_STOP_S:
            end()
            os._exit(128 + number)

    # What is ignored already, as by nohup, stays so; a handler that is not Python's, None, could not be put back.
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    before = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
