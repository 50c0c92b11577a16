"""Requests that nobody has thought of: made of the OpenAPI document, and of bytes."""

from __future__ import annotations

import os
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode

from served import GOOD, JSON, Running, posted, running
from small_application import connected, request

CASES = int(os.environ.get("FORGEML_FUZZ_CASES", "380"))
"""Requests for each operation of the document, of good data and of bad data each; 380 are 6,000 in all."""
BYTE_CASES = int(os.environ.get("FORGEML_FUZZ_BYTES", "3000"))
REJECTIONS = [400, 404, 413, 422]
PATIENCE_S = 0.3
"""For an answer to bytes that may not be a whole request."""

Bytes = bytearray
SEEDS = [
    posted("/predict", {"text": GOOD}),
    posted("/predict/batch", {"texts": [GOOD, "\u00e9\U0001f600", ""]}),
    posted("/explain", {"text": GOOD, "label": "pos"}),
    posted("/predict?a=b", {"text": GOOD}, f"{JSON}Expect: 100-continue\r\nX-Request-ID: a\r\n"),
    request("/info", headers="Authorization: Basic YTpi\r\nIf-None-Match: x\r\n") + request("/healthz"),
    request("/page/app.js", headers="Range: bytes=0-1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"),
    f"POST / HTTP/1.1\r\nHost: localhost\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n".encode()
    + b'8\r\n{"inputs\r\n7;a=b\r\n": "a"}\r\n0\r\nA: b\r\n\r\n',
]
PIECES = [
    b"\r\n",
    b"\n",
    b"\0",
    b"\xff",
    b": ",
    b" ",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"Content-Length: 3\r\n",
    b"%00",
    b"{",
]
PIECES += [
    b"Transfer-Encoding: chunked\r\n",
    b"9" * 30,
    b"HTTP/1.0",
    b"../" * 5,
    b"\xed\xa0\x80",
    b"\\ud800",
    b"-1",
    b"[" * 99,
]


@pytest.fixture(scope="module")
def roomy(engines: Path) -> Iterator[Running]:
    """A server that never has too much to do."""
    with running(engines, "--limit", "waiting_texts=100000", "--limit", "waiting_explanations=1000") as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_requests_made_of_the_document_are_answered_as_it_says(roomy: Running, mode: GenerationMode) -> None:
    """Good data are taken, bad data refused, and each response has a status, headers and a body of the document."""
    address = f"http://127.0.0.1:{roomy.port}"
    checks = {"negative_data_rejection": {"expected-statuses": REJECTIONS}}
    config = SchemathesisConfig.from_dict({"checks": checks})
    document = schemathesis.openapi.from_url(f"{address}/openapi.json", config=config)
    statuses = Counter[int]()
    with requests.Session() as session:

        def ask(case: schemathesis.Case) -> None:
            if mode is GenerationMode.POSITIVE:
                _agree(case)
            response = case.call(base_url=address, session=session)
            statuses[response.status_code] += 1
            case.validate_response(response)

        for operation in document.get_all_operations():
            _try(ask, operation.ok(), mode)
    roomy.check()
    assert not [status for status in statuses if status >= 500]
    assert sum(statuses.values()) >= 6 * CASES


def _agree(case: schemathesis.Case) -> None:
    """Make the parts of good data agree with the model and each other, which no schema can say."""
    if case.path_parameters:
        case.path_parameters = {**case.path_parameters, "name": "best_model"}
    if case.path.endswith("/infer"):
        for tensor in case.body["inputs"]:
            tensor["shape"] = [len(tensor["data"]), 1]


def _try(ask: Callable[[schemathesis.Case], None], operation: Any, mode: GenerationMode) -> None:
    try:
        settings(
            max_examples=CASES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )(given(case=operation.as_strategy(generation_mode=mode))(ask))()
    except Unsatisfiable:
        # Where there is nothing to be given, nothing bad can be.
        assert mode is GenerationMode.NEGATIVE
        assert not list(operation.body)


@pytest.mark.slow
def test_bytes_that_are_nearly_requests_do_no_harm(roomy: Running) -> None:
    """Whatever is cut, doubled, moved or put into a request, there is a sane answer or none, and good ones go on."""
    chance = random.Random(7)
    sent = [_spoilt(chance) for _ in range(BYTE_CASES)]
    with ThreadPoolExecutor(8) as pool:
        first_lines = Counter(pool.map(lambda data: _first_line(roomy.port, data), sent))
    assert all(line == b"" or line.startswith(b"HTTP/1.1 ") for line in first_lines)
    statuses = {int(line.split()[1]) for line in first_lines if line}
    assert statuses <= {100, 200, 304, 400, 401, 404, 405, 408, 413, 415, 421, 422, 431, 503}
    assert {200, 400, 404, 415, 421} <= statuses
    roomy.check()


def _spoilt(chance: random.Random) -> bytes:
    data = Bytes(chance.choice(SEEDS))
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        chance.choice(SPOILERS)(data, chance)
    return bytes(data)


def _flip(data: Bytes, chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _insert(data: Bytes, chance: random.Random) -> None:
    place = chance.randrange(len(data) + 1)
    data[place:place] = chance.choice(PIECES)


def _cut(data: Bytes, chance: random.Random) -> None:
    start = chance.randrange(len(data) + 1)
    del data[start : start + chance.choice((1, 2, 9, 10_000))]


def _double(data: Bytes, chance: random.Random) -> None:
    start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    data[end:end] = data[start:end] * chance.choice((1, 2, 30))


def _splice(data: Bytes, chance: random.Random) -> None:
    other = chance.choice(SEEDS)
    data[chance.randrange(len(data) + 1) :] = other[chance.randrange(len(other)) :]


SPOILERS = (_flip, _insert, _cut, _double, _splice)


def _first_line(port: int, data: bytes) -> bytes:
    """Of the answer; empty if there is none yet, or none at all."""
    with connected(port) as connection:
        try:
            connection.sendall(data)
            connection.settimeout(PATIENCE_S)
            return connection.recv(64, socket.MSG_WAITALL).partition(b"\r\n")[0]
        except (ConnectionError, TimeoutError):
            return b""
