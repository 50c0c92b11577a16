"""Refusals as bytes that go to the socket as they are: those of the transport itself, and the early ones."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from functools import lru_cache

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from forgeml.serving.refusals import Refusal

Headers = Sequence[tuple[bytes, bytes]]

NO_ID = b"0" * 32

FAILED = Refusal(500, "internal", "The server failed over this request; its log says why.")
STOPPED = Refusal(503, "stopping", "The server stopped before this request was answered.")


def malformed(reason: str) -> Refusal:
    """What cannot be read as HTTP, or could be read in two ways.

    Args:
        reason: a sentence of fixed words, without anything that the client sent.
    """
    return Refusal(400, "bad_request", reason)


def too_slow(seconds: float) -> Refusal:
    """A request that did not come whole in time."""
    return Refusal(408, "too_slow", f"A request is to arrive whole within {seconds:g} seconds.")


def head_too_large(what: str) -> Refusal:
    """A request whose line and headers are beyond a limit."""
    return Refusal(431, "headers_too_large", f"The limit is {what}.")


def too_many_connections() -> Refusal:
    """A connection for which there is no room."""
    return Refusal(503, "too_many_connections", "All connections are in use.", headers={"Retry-After": "1"})


def rendered(refusal: Refusal, common: Headers, *, closes: bool) -> bytes:
    """The whole response.

    Args:
        refusal: what it says.
        common: headers that every response has, such as the date.
        closes: whether the connection ends with it.
    """
    request_id = uuid.uuid4().hex.encode()
    told = (refusal.status, refusal.code, refusal.message, refusal.field)
    start, end = _parts(told, tuple(refusal.headers.items()))
    lines = [b"%b: %b\r\n" % header for header in common]
    closing = b"connection: close\r\n" if closes else b""
    return b"".join((start, request_id, b"\r\n", *lines, closing, b"\r\n", end.replace(NO_ID, request_id)))


@lru_cache(64)
def _parts(told: tuple[int, str, str, str | None], headers: tuple[tuple[str, str], ...]) -> tuple[bytes, bytes]:
    """Of a response, what stands before the id among its headers, and its body, with zeros as id."""
    refusal = Refusal(*told)
    body = json.dumps(refusal.as_dict(NO_ID.decode())).encode()
    own = "".join(f"{name.lower()}: {value}\r\n" for name, value in headers)
    head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n{own}x-request-id: "
    return STATUS_LINE[refusal.status] + head.encode("latin-1"), body
