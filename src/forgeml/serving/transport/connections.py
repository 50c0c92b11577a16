"""All open connections together: how many there may be, which of them rest, and when one has waited too long."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from forgeml.serving.transport.application import Application

REFUSED_AT_ONCE = 64
"""Connections beyond the limit that are told so at the same time; what comes on top is cut off without a word."""


class Connection(Protocol):
    """What is asked of each connection."""

    def check(self, now: float) -> None:
        """End what has waited too long; `now` in seconds of the event loop's clock."""

    def close_idle(self) -> None:
        """Close; nothing is under way."""

    def abort(self) -> None:
        """Drop whatever is under way."""


class Connections:
    """Keeps count of the connections of one process."""

    def __init__(self, most: int, changed: Callable[[int], None]) -> None:
        """Begin without any.

        Args:
            most: that may be open.
            changed: is called with the number of open ones whenever it changes.
        """
        self._most = most
        self._changed = changed
        self._open: set[Connection] = set()
        self._resting: OrderedDict[Connection, None] = OrderedDict()
        self._refused: set[Connection] = set()
        self._ending: set[Connection] = set()
        self.draining = False
        """Whether every answer is to be the last one of its connection."""

    def __len__(self) -> int:
        """How many are open, those beyond the limit included."""
        return len(self._open) + len(self._refused)

    @property
    def unfinished(self) -> int:
        """How many have not had their last answer."""
        return len(self) - len(self._ending)

    @property
    def resting(self) -> int:
        """How many have nothing under way."""
        return len(self._resting)

    def admit(self, connection: Connection) -> bool:
        """Take in a new connection, at the cost of the one that has rested longest where there is no room."""
        if len(self._open) >= self._most:
            if not self._resting:
                self._refuse(connection)
                return False
            longest, _ = self._resting.popitem(last=False)
            longest.close_idle()
            self._open.discard(longest)
            # It may still have an answer to take in, and a clock for that.
            self._refused.add(longest)
        self._open.add(connection)
        self._resting[connection] = None
        self._changed(len(self._open))
        return True

    def busy(self, connection: Connection) -> None:
        """Note that something is under way."""
        self._resting.pop(connection, None)

    def rests(self, connection: Connection) -> None:
        """Note that nothing is under way any more."""
        if connection in self._open:
            self._resting[connection] = None

    def ends(self, connection: Connection) -> None:
        """Note that the last answer is written."""
        self._resting.pop(connection, None)
        self._ending.add(connection)

    def gone(self, connection: Connection) -> None:
        """Forget a connection."""
        self._resting.pop(connection, None)
        self._ending.discard(connection)
        self._refused.discard(connection)
        if connection in self._open:
            self._open.remove(connection)
            self._changed(len(self._open))

    def check(self, now: float) -> None:
        """Have each connection look at its clock."""
        for connection in [*self._open, *self._refused]:
            connection.check(now)

    def close_resting(self) -> None:
        """Close those that have nothing under way."""
        for connection in list(self._resting):
            connection.close_idle()

    def abort(self) -> None:
        """Drop all."""
        for connection in [*self._open, *self._refused]:
            connection.abort()

    def _refuse(self, connection: Connection) -> None:
        if len(self._refused) >= REFUSED_AT_ONCE:
            connection.abort()
        else:
            self._refused.add(connection)


@dataclass
class Shared:
    """The application, and the lists that connections keep together."""

    application: Application
    connections: Connections
    pause: Callable[[], None] = lambda: None
    """Told of each request that is refused before anything is spent on it."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    """Requests that the application is at work on."""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Of every response: the date."""
    state: dict[str, Any] = field(default_factory=dict)
    """Of the application's lifespan."""
