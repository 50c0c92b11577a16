"""Clients that are slow, many or gone, by the rows S14 to S17 of the catalogue of bad input."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from served import GOOD, JSON, MARK, Reply, Running, posted, running, until
from small_application import Responses, connected, request

BODY = posted("/predict", {"text": f"{MARK} film"})
EXPLAIN = posted("/explain", {"text": GOOD})
LONG = {"texts": [f"{MARK} good film " * 200] * 64}
"""What keeps the tiny model at work for a while."""
SECOND = ("--limit", "receive_s=1", "--limit", "send_s=1", "--limit", "idle_s=1")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(BODY[:1], id="S14-silent-after-a-byte"),
        pytest.param(BODY.partition(b"\r\n\r\n")[0], id="S14-slow-head"),
        pytest.param(BODY[:-5], id="S14-slow-body"),
        pytest.param(
            f"POST /predict HTTP/1.1\r\nHost: localhost\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n".encode(),
            id="S14-slow-chunks",
        ),
    ],
)
def test_slow_requests_are_refused_after_their_time(engines: Path, sent: bytes) -> None:
    """S14: 408 when the time is over, wherever the request stops, and the connection is closed."""
    with running(engines, *SECOND) as server, connected(server.port) as connection:
        began = time.monotonic()
        connection.sendall(sent)
        replies = Responses(connection)
        status, _, body = replies.next()
        assert (status, b"too_slow" in body) == (408, True)
        assert 0.9 < time.monotonic() - began < 10
        assert replies.ended()


def test_trickling_requests_have_one_time_for_all(engines: Path) -> None:
    """S14: a byte now and then does not lengthen the time in which a request has to be whole."""
    with running(engines, *SECOND) as server, connected(server.port) as connection:
        began, sent = time.monotonic(), 0
        connection.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - began < 10:
            connection.sendall(BODY[sent : sent + 1])
            sent += 1
            try:
                answer = connection.recv(1000)
            except TimeoutError:
                continue
        assert b" 408 " in answer.partition(b"\r\n")[0]


def test_slow_readers_are_cut_off(engines: Path) -> None:
    """S14: who asks and does not read is left after its time; what waits for it is bounded."""
    with running(engines, *SECOND) as server, connected(server.port) as connection:
        before = server.memory()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(1)
        began = time.monotonic()
        with pytest.raises((ConnectionError, TimeoutError)):
            while time.monotonic() - began < 20:
                connection.sendall(request("/openapi.json") * 50)
        until(lambda: server.counts()["forgeml_connections"] == 1, 15)
        assert server.memory() - before < 64 * 1_048_576


def test_clients_that_leave_are_counted_and_no_error(engines: Path) -> None:
    """S15: a client that goes in the middle of its request, or of its answer, costs nobody else anything."""
    with running(engines) as server, ExitStack() as open_ones:
        busy = [open_ones.enter_context(connected(server.port)) for _ in range(3)]
        for one in busy:
            one.sendall(posted("/predict/batch", LONG))
        for _ in range(5):
            for sent in (
                BODY[:40],
                BODY[:-3],
                BODY,
                posted("/predict/batch", LONG),
                posted("/explain", {"text": GOOD}),
            ):
                _leave(server.port, sent)
        for one in busy:
            Responses(one).next()
        until(lambda: server.counts()["forgeml_waiting_texts"] == 0, 30)
        assert server.counts()["forgeml_clients_gone_total"] >= 5
        until(lambda: server.counts()["forgeml_connections"] == 4, 10)


def test_overload_is_refused_at_once_and_leaves_nothing_behind(engines: Path) -> None:
    """S16: with many times more clients than may wait, some are answered and the others told when to come again."""
    with running(engines, "--limit", "waiting_texts=8", "--limit", "batch_texts=4") as server:
        ends = time.monotonic() + 8
        with ThreadPoolExecutor(40) as pool:
            counts = list(pool.map(lambda number: _press(server.port, ends), range(40)))
        statuses = Counter[int]()
        for count, _ in counts:
            statuses += count
        assert set(statuses) == {200, 503}
        refused = sorted(seconds for _, times in counts for seconds in times)
        assert refused[len(refused) // 2] < 1
        server.check()
        began = time.monotonic()
        assert server.post("/predict", {"text": GOOD}).status == 200
        assert time.monotonic() - began < 2


def test_idle_connections_give_way(engines: Path) -> None:
    """S17: there are never more connections than allowed; the one that has rested longest goes for a new one."""
    with running(engines, "--limit", "connections=40", "--limit", "idle_s=2") as server, ExitStack() as idle:
        ones = [idle.enter_context(connected(server.port)) for _ in range(300)]
        assert server.post("/predict", {"text": GOOD}).status == 200
        assert server.counts()["forgeml_connections"] <= 40
        assert server.files() < 150
        assert Responses(ones[0]).next()[0] == 0
        time.sleep(3)
        assert server.counts()["forgeml_connections"] <= 2
        assert Responses(ones[-1]).next()[0] == 0


def test_busy_connections_do_not_give_way(engines: Path) -> None:
    """S17: where all connections have a request under way, a new one is told so."""
    options = ("--limit", "connections=5", "--limit", "receive_s=3")
    with running(engines, *options) as server, ExitStack() as others:
        for _ in range(5):
            others.enter_context(connected(server.port)).sendall(BODY[:-1])
        time.sleep(0.3)
        with connected(server.port) as late:
            status, headers, body = Responses(late).next()
        assert (status, headers["retry-after"], b"too_many_connections" in body) == (503, "1", True)
        time.sleep(4)


def test_requests_sent_ahead_are_answered_in_their_order(server: Running) -> None:
    """S17: 200 requests at once on one connection, good and bad, each have their own answer."""
    texts = [None if number % 10 == 3 else f"film {number}" for number in range(200)]
    alone = server.post("/predict", {"text": "film 1"}).json["scores"]
    with connected(server.port, 60) as connection:
        sending = threading.Thread(
            target=connection.sendall, args=(b"".join(posted("/predict", {"text": text}) for text in texts),)
        )
        sending.start()
        replies = Responses(connection)
        got = [Reply(*replies.next()) for _ in texts]
        sending.join()
    # Too many of one connection may be told to wait, like those of many.
    assert {reply.status for reply, text in zip(got, texts, strict=True) if text is None} <= {422, 503}
    assert {reply.status for reply, text in zip(got, texts, strict=True) if text is not None} <= {200, 503}
    assert got[1].json["scores"] == pytest.approx(alone, abs=1e-4)


def _leave(port: int, sent: bytes) -> None:
    """Send and go, without the words of parting that TCP has."""
    with connected(port) as connection:
        connection.sendall(sent)
        time.sleep(0.02)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _press(port: int, ends: float) -> tuple[Counter[int], list[float]]:
    """Ask again and again without a pause; the statuses, and the seconds that each refusal took."""
    statuses, refused = Counter[int](), []
    with connected(port, 60) as connection:
        replies = Responses(connection)
        while time.monotonic() < ends:
            began = time.monotonic()
            connection.sendall(BODY)
            status, headers, _ = replies.next()
            statuses[status] += 1
            if status == 503:
                assert int(headers["retry-after"]) >= 1
                refused.append(time.monotonic() - began)
    return statuses, refused
