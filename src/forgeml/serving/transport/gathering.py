"""What waits for events on the connections, and under overload lets some of them gather first."""

from __future__ import annotations

import selectors
import time

GATHER_S = 0.005
"""Long enough for the refusals of many requests to be worked off together, and short beside their limit of 50 ms."""


class Gathering(selectors.DefaultSelector):
    """A selector that can be told to let events gather once before it looks.

    To be woken for each of thousands of requests a second, only to refuse it, would take the time in which the model
    could answer others, most of all where both share a core.
    """

    _pausing = False

    def pause(self) -> None:
        """Let events gather before the next look."""
        self._pausing = True

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events, so many seconds at most, or for ever where there is no number."""
        if self._pausing:
            self._pausing = False
            time.sleep(GATHER_S)
        return super().select(timeout)
