"""A server stopped under load, time and again: whatever it has taken in, it answers."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from served import MARK, running
from serving_load import loading

STOPS = 50
TEXTS = [f"A {word} film {MARK}" * size for word in ("good", "bad") for size in (1, 5, 40)]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stops_under_load_lose_nothing(engines: Path) -> None:
    """Each request that was sent on a connection that was taken in has its whole answer; the exit code is 0."""
    chance = random.Random(1)
    answered = turned_away = 0
    for number in range(STOPS):
        delay = 0.0 if number % 2 else 0.2
        with (
            running(engines, "--drain-delay", str(delay), "--watch", "0", checked=False) as server,
            loading(server.port, TEXTS, clients=4 + number % 9) as load,
        ):
            time.sleep(chance.uniform(0.02, 0.5))
            assert server.stop(signal.SIGTERM if number % 5 else signal.SIGINT) == 0
            assert load.lost == [], number
            assert set(load.others) <= {503}
            assert load.turned_away <= 4 + number % 9
            assert "Traceback" not in server.log.read_text(encoding="utf-8")
        answered, turned_away = answered + len(load.answered), turned_away + load.turned_away
    assert answered > 10 * STOPS
    # Between the last look at the port and its closing a connection may come that nobody takes in.
    assert turned_away <= STOPS
