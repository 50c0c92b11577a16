"""The two ways to ask a server: as soon as the last answer is there, and at a fixed rate whatever it does."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle, islice
from multiprocessing import get_context

import numpy as np

from serving.client import BROKEN, Address, Client

UNSENT = -1
"""Stands for a status where all connections that may be open were under way."""
DRAIN_S = 60.0
"""Longer than any server here lets a request wait."""
PAUSE_S = 0.01
"""After a failed connection, so that a server that is gone is not asked as fast as the client can."""
START_S = 1.5
"""For client processes to be ready at the same time."""


@dataclass
class Asked:
    """What came of requests, in the order of the answers."""

    due: array[float] = field(default_factory=lambda: array("d"))
    """When each was to be sent, seconds of the monotonic clock."""
    ended: array[float] = field(default_factory=lambda: array("d"))
    status: array[int] = field(default_factory=lambda: array("h"))
    lag: array[float] = field(default_factory=lambda: array("d"))
    """How much later than due each was sent, seconds, in the order of sending."""

    def add(self, due: float, ended: float, status: int) -> None:
        """One more request that is done with."""
        self.due.append(due)
        self.ended.append(ended)
        self.status.append(status)

    def extend(self, other: Asked) -> None:
        """What another client has asked at the same time."""
        for mine, more in zip(vars(self).values(), vars(other).values(), strict=True):
            mine.extend(more)

    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """When due, when ended, and status of each, shape (requests,)."""
        return np.array(self.due), np.array(self.ended), np.array(self.status)


@dataclass(frozen=True)
class Phase:
    """A stretch of time with one rate."""

    rate: float
    """Requests per second."""
    seconds: float


def closed_loop(address: Address, requests: Sequence[bytes], connections: int, seconds: float) -> Asked:
    """Each connection asks again as soon as it has its answer; what is under way at the end is waited for."""
    client, found, following = Client(address, connections), Asked(), cycle(requests)
    end = time.monotonic() + seconds
    for request in islice(following, connections):
        client.send(request, time.monotonic())
    while (left := end - time.monotonic()) > 0:
        for answer in client.answers(left):
            found.add(*answer)
            if answer[2] == BROKEN:
                time.sleep(PAUSE_S)
            client.send(next(following), time.monotonic())
    _drain(client, found)
    return found


def ask_all(address: Address, requests: Sequence[bytes], connections: int) -> Asked:
    """Every request once, over some connections."""
    client, found, following = Client(address, connections), Asked(), iter(requests)
    for request in islice(following, connections):
        client.send(request, time.monotonic())
    end = time.monotonic() + DRAIN_S
    while client.under_way and (left := end - time.monotonic()) > 0:
        for answer in client.answers(left):
            found.add(*answer)
            end = time.monotonic() + DRAIN_S
            for request in islice(following, 1):
                client.send(request, time.monotonic())
    _close(client, found)
    return found


def open_loop(
    address: Address, requests: Sequence[bytes], phases: Sequence[Phase], most: int, processes: int = 1
) -> Asked:
    """Requests at a fixed rate, phase after phase without a break, whether they are answered or not.

    Args:
        address: of the server.
        requests: in turn.
        phases: with the rate of all processes together.
        most: connections of all processes together.
        processes: clients to share the work.
    """
    start = time.monotonic() + START_S
    share = [Phase(phase.rate / processes, phase.seconds) for phase in phases]
    found = Asked()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        # Clients send in turn and not at the same moment.
        offsets = [number / (processes * share[0].rate) for number in range(processes)]
        asking = [
            pool.submit(_ask_at_rate, address, requests, share, most // processes, start + offset) for offset in offsets
        ]
        for one in asking:
            found.extend(one.result())
    return found


def _ask_at_rate(
    address: Address, requests: Sequence[bytes], phases: Sequence[Phase], most: int, start: float
) -> Asked:
    client, found, following = Client(address, most), Asked(), cycle(requests)
    for due in _times(phases, start):
        while (left := due - time.monotonic()) > 0:
            for answer in client.answers(left):
                found.add(*answer)
        found.lag.append(-left)
        if not client.send(next(following), due):
            found.add(due, due, UNSENT)
        for answer in client.answers(0):
            found.add(*answer)
    _drain(client, found)
    return found


def _times(phases: Sequence[Phase], start: float) -> Iterator[float]:
    for phase in phases:
        yield from (start + number / phase.rate for number in range(round(phase.rate * phase.seconds)))
        start += phase.seconds


def _drain(client: Client, found: Asked) -> None:
    end = time.monotonic() + DRAIN_S
    while client.under_way and (left := end - time.monotonic()) > 0:
        for answer in client.answers(left):
            found.add(*answer)
    _close(client, found)


def _close(client: Client, found: Asked) -> None:
    """What has no answer by now is counted as broken."""
    end = time.monotonic()
    for _ in range(client.under_way):
        found.add(end - DRAIN_S, end, BROKEN)
    client.close()
