"""The body of a request: read whole, within its bounds, and only if it says that it is JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from forgeml.serving.limits import Limits
from forgeml.serving.refusals import ClientGone, Refusal

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

CLOSE = {"Connection": "close"}
"""What is left of the body is not read, so the connection cannot be used again."""


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limits: Limits) -> bytes:
    """The body of a POST request.

    Args:
        headers: of the request, names in lower case.
        receive: of ASGI.
        limits: how many bytes it may have, and how long it may take.

    Raises:
        Refusal: it is not said to be JSON, is too long, or takes too long.
        ClientGone: the client has gone.
    """
    check_kind(headers)
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limits.body_bytes:
        raise _too_large(limits)
    message = await _within(receive, limits.receive_s)
    if not message.get("more_body") and message["type"] == "http.request":
        # The usual case, without a copy.
        return _checked(message["body"], limits)
    return await _rest(message, receive, limits)


def check_kind(headers: Mapping[bytes, bytes]) -> None:
    """Refuse what is not plain JSON in UTF-8.

    Raises:
        Refusal: by the Content-Type or the Content-Encoding.
    """
    said = headers.get(b"content-type", b"").decode("latin-1")
    kind, *parameters = [part.strip().lower() for part in said.split(";")]
    charset = next((part.partition("=")[2].strip('"') for part in parameters if part.startswith("charset=")), "utf-8")
    if kind != "application/json" or charset not in ("utf-8", "utf8"):
        found = f"found {said[:80]!r}" if said else "there is none"
        raise Refusal(415, "not_json_type", f"Content-Type: application/json is wanted, {found}", "Content-Type")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refusal(415, "encoded_body", "send the body as it is, without Content-Encoding", "Content-Encoding")


async def _rest(message: MutableMapping[str, Any], receive: Receive, limits: Limits) -> bytes:
    ends = asyncio.get_running_loop().time() + limits.receive_s
    body = bytearray()
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > limits.body_bytes:
            raise _too_large(limits)
        if not message.get("more_body"):
            return bytes(body)
        message = await _within(receive, ends - asyncio.get_running_loop().time())


async def _within(receive: Receive, seconds: float) -> MutableMapping[str, Any]:
    try:
        async with asyncio.timeout(seconds):
            return await receive()
    except TimeoutError as error:
        message = "the request did not arrive whole in time"
        raise Refusal(408, "too_slow", message, headers=CLOSE) from error


def _checked(body: bytes, limits: Limits) -> bytes:
    if len(body) > limits.body_bytes:
        raise _too_large(limits)
    return body


def _too_large(limits: Limits) -> Refusal:
    message = f"the body is larger than {limits.body_bytes:,} bytes"
    return Refusal(413, "body_too_large", message, headers=CLOSE)
