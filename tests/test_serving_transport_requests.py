from __future__ import annotations

import random
from contextlib import suppress

import pytest

from forgeml.serving.limits import Limits
from forgeml.serving.refusals import Refusal
from forgeml.serving.transport.requests import Head, RequestParser
from small_application import request
from test_serving_transport_protocol import BAD, CHUNKED, H2C


class Heard:
    """Writes down what a parser tells."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Nothing has been told."""
        self.parser = RequestParser(limits or Limits(), self)
        self.heads: list[Head] = []
        self.bodies: list[bytes] = []
        self.begun = self.complete = 0

    def request_begun(self) -> None:
        """Count it."""
        self.begun += 1

    def request_head(self, head: Head) -> None:
        """Keep it."""
        self.heads.append(head)
        self.bodies.append(b"")

    def request_body(self, data: bytes) -> None:
        """Keep it."""
        self.bodies[-1] += data

    def request_complete(self) -> None:
        """Count it."""
        self.complete += 1


STREAM = (
    request("/a?b")
    + request("/b", "POST", body=b"x" * 5_000)
    + request("/c", "POST", CHUNKED, b"3\r\nabc\r\n1;a=b\r\nd\r\n0\r\nTrailer: x\r\n\r\n")
    + request("/d", "POST", H2C, b"upgrade")
    + b"\r\n"
    + request("/e", "POST", H2C + CHUNKED, b"3\r\nabc\r\n0\r\n\r\n")
    + request("/f", headers=f"A: {'x' * 30_000}\r\n")
    + request("/g", headers="Connection: Upgrade\r\nUpgrade: websocket\r\n")
    + request("/h", "POST", body=b"")
)


@pytest.mark.parametrize("seed", range(20))
def test_requests_may_come_in_any_pieces(seed: int) -> None:
    """However the bytes are cut, the same requests are read, each once."""
    chance = random.Random(seed)
    heard = Heard()
    position = 0
    while position < len(STREAM):
        size = chance.choice([1, 7, 300, 8_192])
        heard.parser.feed(STREAM[position : position + size])
        position += size
    assert b"".join(head.path for head in heard.heads) == b"/a/b/c/d/e/f/g/h"
    assert heard.bodies == [b"", b"x" * 5_000, b"abcd", b"upgrade", b"abc", b"", b"", b""]
    assert (heard.begun, heard.complete) == (8, 8)
    assert [head.length for head in heard.heads] == [0, 5_000, None, 7, None, 0, 0, 0]


def test_trailers_are_no_headers() -> None:
    """What comes after a body in chunks is dropped, and does not turn up in the next request."""
    heard = Heard()
    heard.parser.feed(request("/", "POST", CHUNKED, b"0\r\nAuthorization: x\r\n\r\n") + request())
    assert [[name for name, _ in head.headers] for head in heard.heads] == [[b"host", b"transfer-encoding"], [b"host"]]


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
@pytest.mark.parametrize("before", [b"", request() + request("/", "POST", body=b"abc")])
def test_bad_requests_byte_by_byte(before: bytes, data: bytes) -> None:
    """What is malformed is refused also behind good requests, and when it comes a byte at a time."""
    heard = Heard()
    with pytest.raises(Refusal) as refused:
        for value in before + data:
            heard.parser.feed(bytes([value]))
    assert refused.value.status == 400


@pytest.mark.parametrize("seed", range(200))
def test_noise_is_refused_or_read(seed: int) -> None:
    """Requests with bytes changed at random are read or refused; nothing else is raised."""
    chance = random.Random(seed)
    data = bytearray(STREAM)
    for _ in range(10):
        data[chance.randrange(len(data))] = chance.randrange(256)
    heard = Heard()
    with suppress(Refusal):
        for start in range(0, len(data), 1_000):
            heard.parser.feed(bytes(data[start : start + 1_000]))
    assert heard.begun - heard.complete in (0, 1)


def test_small_chunks_are_in_order() -> None:
    """A body in chunks of a single byte each is no abuse."""
    heard = Heard()
    body = b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n"
    data = request("/", "POST", CHUNKED, body)
    for start in range(0, len(data), 8_192):
        heard.parser.feed(data[start : start + 8_192])
    assert (heard.complete, len(heard.bodies[0])) == (1, 100_000)


def test_the_limits_are_those_given() -> None:
    """A smaller limit on bytes or on headers is held."""
    heard = Heard(Limits(header_bytes=100))
    with pytest.raises(Refusal) as refused:
        heard.parser.feed(request(headers=f"A: {'x' * 100}\r\n"))
    assert refused.value.status == 431
    heard = Heard(Limits(headers=2))
    heard.parser.feed(request(headers="A: b\r\n"))
    with pytest.raises(Refusal) as refused:
        heard.parser.feed(request(headers="A: b\r\nA: b\r\n"))
    assert refused.value.status == 431
