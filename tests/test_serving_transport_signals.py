from __future__ import annotations

import os
import signal
import threading

import pytest

from forgeml.serving.transport import signals
from forgeml.serving.transport.signals import stop_signals


def test_the_first_signal_asks_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first signal asks, one right behind it belongs to it, and a later one ends the process."""
    asked: list[object] = []
    monkeypatch.setattr(os, "_exit", lambda code: asked.append(f"exit {code}"))
    with stop_signals(asked.append, lambda: asked.append("end")):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert asked == [signal.SIGTERM]
        monkeypatch.setattr(signals, "ONE_STOP_S", -1.0)
        signal.raise_signal(signal.SIGINT)
    assert asked == [signal.SIGTERM, "end", "exit 130"]


def test_handlers_are_put_back() -> None:
    """Afterwards signals go where they went before; what is ignored is ignored all the time."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        old = signal.getsignal(signal.SIGTERM)
        with pytest.raises(RuntimeError), stop_signals(lambda number: None):
            assert signal.getsignal(signal.SIGTERM) is not old
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            raise RuntimeError
        assert signal.getsignal(signal.SIGTERM) is old
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_leave_signals_alone() -> None:
    """Outside the main thread nothing is done."""
    old = signal.getsignal(signal.SIGTERM)
    found: list[object] = []

    def serve() -> None:
        with stop_signals(lambda number: None):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert found == [old]
