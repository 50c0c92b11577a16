"""A server under many requests of all lengths, right and wrong ones: whether it grows."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from serving.loops import ask_all
from serving.processes import Started
from serving.servers import post

EACH = 1_000
"""Requests between two looks at the server."""
PER = 100_000
LONGEST = 20_000
CONNECTIONS = 8
SETTLED = 0.2
"""Share of the looks that are left out of the slope, while memory is still being taken for the first time."""
REST_S = 0.2
"""For the server to see that connections are closed."""
SEED = 1
WRONG = (
    ("/predict", b'{"text": "no end'),
    ("/predict", b'{"words": "no text"}'),
    ("/predict", b'{"text": NaN}'),
    ("/predict", b"[" * 100_000),
    ("/predict", b'{"text": "' + b"x" * 2_000_000 + b'"}'),
    ("/predict/batch", json.dumps({"texts": ["too many"] * 1_000}).encode()),
    ("/nowhere", b"{}"),
)
WRONG_SHARE = 0.05

Say = Callable[[str], None]


def soak(started: Started, texts: Sequence[str], requests: int, say: Say) -> dict[str, Any]:
    """Memory, open files and threads of a server every thousand requests, and how fast memory grows."""
    mixed, statuses, looks = _requests(texts), Counter[int](), [_look(started, 0)]
    for done in range(EACH, requests + 1, EACH):
        asked = ask_all(started.address, [next(mixed) for _ in range(EACH)], CONNECTIONS)
        statuses.update(asked.status)
        time.sleep(REST_S)
        looks.append(_look(started, done))
        say(f"{done:,} requests, {looks[-1]['memory'] / 1e6:,.0f} MB")
    return {
        "requests": looks[-1]["requests"],
        "statuses": {str(one): count for one, count in sorted(statuses.items())},
        "looks": looks,
        "bytes_per_100000": _slope(looks),
    }


def _requests(texts: Sequence[str]) -> Iterator[bytes]:
    """Without end: texts of 1 to 20,000 characters, of every order of magnitude as many, and wrong requests."""
    draw = random.Random(SEED)
    book = " ".join(texts)
    book *= 1 + 2 * LONGEST // len(book)
    while True:
        if draw.random() < WRONG_SHARE:
            yield post(*draw.choice(WRONG))
            continue
        length = round(LONGEST ** draw.random())
        start = draw.randrange(len(book) - length)
        yield post("/predict", json.dumps({"text": book[start : start + length]}, ensure_ascii=False).encode())


def _look(started: Started, requests: int) -> dict[str, Any]:
    return {
        "requests": requests,
        "memory": started.memory(),
        "open_files": started.open_files(),
        "threads": started.threads(),
    }


def _slope(looks: Sequence[dict[str, Any]]) -> float | None:
    """Bytes that are added with every 100,000 requests; None where there are too few looks for a line."""
    settled = looks[max(1, round(SETTLED * len(looks))) :]
    if len(settled) < 2:
        return None
    return float(PER * np.polyfit([one["requests"] for one in settled], [one["memory"] for one in settled], 1)[0])
