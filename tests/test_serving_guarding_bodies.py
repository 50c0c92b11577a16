"""The body of a request."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from forgeml.serving.guarding.bodies import Receive, check_kind, read_body
from forgeml.serving.limits import Limits
from forgeml.serving.refusals import ClientGone, Refusal

JSON = {b"content-type": b"application/json"}


def _in_parts(*parts: bytes, pause_s: float = 0.0, ends: bool = True) -> Receive:
    messages: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": one, "more_body": True} for one in parts
    ]
    messages[-1]["more_body"] = not ends
    messages.append({"type": "http.disconnect"})

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.sleep(pause_s)
        return messages.pop(0)

    return receive


async def test_it_is_read_whole() -> None:
    """In one part or in many, what was sent is what is read."""
    assert await read_body(JSON, _in_parts(b"{}"), Limits()) == b"{}"
    assert await read_body(JSON, _in_parts(b"{", b"", b"}"), Limits()) == b"{}"


@pytest.mark.parametrize(
    "kind",
    [
        *(None, b"", b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"),
        *(b"application/jsonp", b"application/json; charset=utf-16", b"application/json;charset=latin-1"),
    ],
)
async def test_only_json_is_read(kind: bytes | None) -> None:
    """Any other kind, and none, is refused with 415 before anything is read."""
    headers = {} if kind is None else {b"content-type": kind}
    with pytest.raises(Refusal) as caught:
        await read_body(headers, _in_parts(b"{}"), Limits())
    assert (caught.value.status, caught.value.field) == (415, "Content-Type")


def test_ways_to_say_json() -> None:
    """Letter case, blanks and the one right charset do not matter."""
    for kind in (
        b"application/json",
        b"Application/JSON",
        b'application/json; charset="UTF-8"',
        b"application/json;charset=utf8",
    ):
        check_kind({b"content-type": kind})
    check_kind(JSON | {b"content-encoding": b"identity"})


async def test_a_coded_body_is_refused() -> None:
    """Neither gzip nor what only says so is unpacked."""
    with pytest.raises(Refusal) as caught:
        await read_body(JSON | {b"content-encoding": b"gzip"}, _in_parts(b"{}"), Limits())
    assert caught.value.status == 415


@pytest.mark.parametrize("declared", [True, False])
async def test_a_long_body_is_not_read_to_its_end(declared: bool) -> None:
    """Beyond the limit it is refused, at once where the length is told, and the connection is given up."""
    headers = JSON | ({b"content-length": b"1000000"} if declared else {})
    receive = _in_parts(*[b"x" * 10] * 1000)
    with pytest.raises(Refusal) as caught:
        await read_body(headers, receive, Limits(body_bytes=100))
    assert (caught.value.status, caught.value.headers["Connection"]) == (413, "close")
    left = 0
    while (await receive())["type"] == "http.request":
        left += 1
    assert left == (1000 if declared else 989)


async def test_a_slow_body_is_refused() -> None:
    """Many parts that each come in time, but not all of them together, are refused with 408."""
    with pytest.raises(Refusal) as caught:
        await read_body(JSON, _in_parts(*[b"x"] * 1000, pause_s=0.05), Limits(receive_s=0.4))
    assert caught.value.status == 408


async def test_a_client_that_goes() -> None:
    """A body that breaks off has nobody who waits for an answer."""
    with pytest.raises(ClientGone):
        await read_body(JSON, _in_parts(b"{", ends=False), Limits())
