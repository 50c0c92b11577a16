from __future__ import annotations

import json

import pytest

from forgeml.serving.refusals import Refusal
from forgeml.serving.transport import error_responses
from forgeml.serving.transport.error_responses import rendered

COMMON = [(b"date", b"Sun, 22 Nov 2026 22:42:35 GMT")]


def test_a_whole_response() -> None:
    """Status, headers and body are as HTTP wants them, and the request has one id in both."""
    refusal = Refusal(503, "overloaded", "Too “much”.", field="texts[3]", headers={"Retry-After": "1"})
    head, _, body = rendered(refusal, COMMON, closes=True).partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    error = json.loads(body)
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert headers == {
        "date": "Sun, 22 Nov 2026 22:42:35 GMT",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "x-request-id": error["request_id"],
        "retry-after": "1",
        "connection": "close",
    }
    assert error == refusal.as_dict(error["request_id"])


def test_ids_differ() -> None:
    """No two responses have the same id."""
    assert len({rendered(error_responses.FAILED, COMMON, closes=False) for _ in range(50)}) == 50


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (error_responses.malformed("No."), 400),
        (error_responses.too_slow(10.0), 408),
        (error_responses.head_too_large("100 headers"), 431),
        (error_responses.too_many_connections(), 503),
        (error_responses.FAILED, 500),
        (error_responses.STOPPED, 503),
    ],
)
def test_statuses(refusal: Refusal, status: int) -> None:
    """Each kind of refusal has its status and a whole sentence."""
    assert refusal.status == status
    assert refusal.message.endswith(".")
