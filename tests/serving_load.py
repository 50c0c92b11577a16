"""Clients that ask a server without a pause, and keep what became of every request."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from served import Reply, posted
from small_application import Responses, connected

PAUSE_S = 0.1
"""Before the next try where nobody listens, or where the server says that it is too busy."""


@dataclass
class Load:
    """What became of the requests of all clients."""

    answered: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """The text and the answer."""
    others: Counter[int] = field(default_factory=Counter)
    """Responses of another status than 200."""
    lost: list[str] = field(default_factory=list)
    """Requests on a connection that had been taken in, and that ended without a whole response: what was seen."""
    turned_away: int = 0
    """Connections that ended before anything was read of them."""
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def loading(port: int, texts: Sequence[str], clients: int = 6) -> Iterator[Load]:
    """Ask as many clients at once do, each on a connection that stays open, until the block ends.

    Args:
        port: of the server.
        texts: each client sends them in an order of its own, again and again.
        clients: how many.
    """
    load = Load()
    threads = [threading.Thread(target=_ask_on, args=(load, port, texts, number)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.over.set()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)


def _ask_on(load: Load, port: int, texts: Sequence[str], seed: int) -> None:
    chance = random.Random(seed)
    while not load.over.is_set():
        try:
            with connected(port, 60) as connection:
                _ask_here(load, Responses(connection), connection.sendall, [chance.choice(texts) for _ in range(200)])
        except OSError:
            time.sleep(PAUSE_S)


def _ask_here(load: Load, replies: Responses, send: Any, texts: Sequence[str]) -> None:
    """Ask on one connection until the server says that it closes, or for as many texts as these."""
    for number, text in enumerate(texts):
        if load.over.is_set():
            return
        try:
            send(posted("/predict", {"text": text}))
            reply = Reply(*replies.next())
        except OSError as error:
            reply = Reply(0, {}, repr(error).encode())
        whole = len(reply.body) == int(reply.headers.get("content-length", -1))
        if reply.status == 0 and number == 0 and not reply.body.startswith(b"HTTP"):
            load.turned_away += 1
            return
        if not whole:
            load.lost.append(f"request {number} of a connection: {reply}")
            return
        if reply.status == 200:
            load.answered.append((text, reply.json))
        else:
            load.others[reply.status] += 1
            time.sleep(PAUSE_S)
        if reply.headers.get("connection") == "close":
            return
