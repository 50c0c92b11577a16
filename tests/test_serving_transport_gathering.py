"""What waits for events, and lets some of them gather."""

from __future__ import annotations

import selectors
import socket
import time

from forgeml.serving.transport.gathering import GATHER_S, Gathering


def test_it_waits_only_when_told_to() -> None:
    """After `pause` the next look comes later, and finds what there is; the one after that comes at once."""
    here, there = socket.socketpair()
    with Gathering() as selector, here, there:
        selector.register(here, selectors.EVENT_READ)
        there.send(b"x")
        selector.pause()
        began = time.monotonic()
        assert [key.fileobj for key, _ in selector.select(0)] == [here]
        assert time.monotonic() - began >= GATHER_S
        assert selector._pausing is False
        assert len(selector.select(0)) == 1
