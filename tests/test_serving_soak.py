"""Thousands of requests one after the other: nothing grows with them."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from served import MARK, Running, running
from serving_load import Load, loading

REQUESTS = int(os.environ.get("FORGEML_SOAK_REQUESTS", "5000"))
WARM_UP = REQUESTS // 3
GROWTH = 12 * 1_048_576
"""Bytes that the process may grow by after it has warmed up: noise; what is kept of each request would be more."""
TEXTS = [f"{MARK} {'good bad film ' * size}"[: 4 * size + 9] for size in (0, 1, 2, 5, 20, 60, 200, 2_000, 6_000)]


@pytest.mark.slow
def test_nothing_grows_with_the_requests(engines: Path) -> None:
    """After a warm-up with texts of all lengths, memory, open files and threads stay as they are."""
    with running(engines, "--watch", "0.2") as server:
        chance = random.Random(3)
        with loading(server.port, chance.choices(TEXTS, k=200), clients=4) as load:
            _until(load, WARM_UP)
            early = [_sizes(server) for _ in range(10)]
            _until(load, REQUESTS)
            late = [_sizes(server) for _ in range(10)]
        assert load.lost == []
        assert not load.others
        assert load.turned_away == 0
    assert max(memory for memory, _, _ in late) - max(memory for memory, _, _ in early) < GROWTH
    # A connection more or less may be open at the moment of the look.
    assert max(files for _, files, _ in late) <= max(files for _, files, _ in early) + 2
    assert max(threads for _, _, threads in late) <= max(threads for _, _, threads in early)


def _until(load: Load, requests: int) -> None:
    while len(load.answered) < requests:
        assert not load.others
        time.sleep(0.05)


def _sizes(server: Running) -> tuple[int, int, int]:
    """Bytes, open files and threads of the process, a little later."""
    time.sleep(0.05)
    return server.memory(), server.files(), server.threads()
