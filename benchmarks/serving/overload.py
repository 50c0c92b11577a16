"""What a server does with more requests than it can answer: a fixed rate in steps, and then the first one again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from serving.client import BROKEN, Address
from serving.loops import UNSENT, Asked, Phase, open_loop

SHARE = 0.8
"""Of the client's own speed, up to which its figures are believed."""
BEYOND = 100_000.0
"""Requests per second that no client here can send."""
SPEED_S = 2.0
WINDOW_S = 0.1
NORMAL_WINDOWS = 3
NORMAL_TIMES = 2.0
REFUSALS = (429, 503)


def client_speed(address: Address, requests: Sequence[bytes], most: int, processes: int) -> float:
    """Requests per second that the client can send and see answered, by a server that does nothing else.

    Args:
        address: of that server.
        requests: as they are sent later.
        most: connections, as later.
        processes: clients at the same time.
    """
    asked = open_loop(address, requests, [Phase(BEYOND, SPEED_S / processes)], most, processes)
    due, ended, status = asked.columns()
    return float((status == 200).sum() / (ended.max() - due.min()))


def overload(
    address: Address, requests: Sequence[bytes], phases: Sequence[Phase], most: int, processes: int
) -> dict[str, Any]:
    """Figures of each phase; the last one has the rate of the first again, and shows how soon all is as before.

    Args:
        address: of the server.
        requests: in turn.
        phases: one after the other without a break.
        most: connections at once.
        processes: clients at the same time.
    """
    asked = open_loop(address, requests, phases, most, processes)
    start, found = float(min(asked.due)), []
    for phase in phases:
        found.append(_figures(asked, start, phase))
        start += phase.seconds
    last = start - phases[-1].seconds
    before = found[0]["p50_ms"]
    return {
        "phases": found,
        "lag_p99_ms": _percentiles(np.array(asked.lag))[1],
        "normal_after_s": None if before is None else _normal_after(asked, last, phases[-1].seconds, before),
    }


def _figures(asked: Asked, start: float, phase: Phase) -> dict[str, Any]:
    """Times of the requests that were due in a phase, and 200s that came in it."""
    due, ended, status = asked.columns()
    inside = (due >= start) & (due < start + phase.seconds)
    took = ended - due
    accepted, refused = inside & (status == 200), inside & np.isin(status, REFUSALS)
    p50, p99 = _percentiles(took[accepted])
    came = (status == 200) & (ended >= start) & (ended < start + phase.seconds)
    counts = Counter(status[inside].tolist())
    return {
        "rate": phase.rate,
        "seconds": phase.seconds,
        "goodput": float(came.sum() / phase.seconds),
        "p50_ms": p50,
        "p99_ms": p99,
        "refused_p99_ms": _percentiles(took[refused])[1],
        "broken": counts.pop(BROKEN, 0),
        "unsent": counts.pop(UNSENT, 0),
        "statuses": {str(one): count for one, count in sorted(counts.items())},
    }


def _percentiles(seconds: np.ndarray) -> tuple[float | None, float | None]:
    """The median and the 99th percentile, in ms."""
    if not len(seconds):
        return None, None
    p50, p99 = (1000 * np.percentile(seconds, [50, 99])).tolist()
    return p50, p99


def _normal_after(asked: Asked, start: float, seconds: float, before: float) -> float | None:
    """Seconds from `start` to the first of some windows in a row that are as the first phase was; None if none is."""
    due, ended, status = asked.columns()
    took = 1000 * (ended - due)
    row = 0
    for number in range(round(seconds / WINDOW_S)):
        inside = (due >= start + number * WINDOW_S) & (due < start + (number + 1) * WINDOW_S)
        good = inside.any() and (status[inside] == 200).all() and np.median(took[inside]) <= NORMAL_TIMES * before
        row = row + 1 if good else 0
        if row == NORMAL_WINDOWS:
            return (number + 1 - NORMAL_WINDOWS) * WINDOW_S
    return None
