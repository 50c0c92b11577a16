"""Requests to an ASGI application without a server in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

JSON = {"content-type": "application/json", "host": "localhost"}


@dataclass(frozen=True)
class Answered:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


async def ask(
    app: Callable[..., Any],
    method: str,
    path: str,
    body: bytes | Any = b"",
    headers: Mapping[str, str] = JSON,
    gone_after_s: float | None = None,
) -> Answered | None:
    """Send one request; a body that is not bytes is sent as JSON. None where no response was begun.

    The client stays until it is answered, or goes after so many seconds.
    """
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    incoming = [{"type": "http.request", "body": sent, "more_body": False}]
    out: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if incoming:
            return incoming.pop(0)
        await asyncio.sleep(3600 if gone_after_s is None else gone_after_s)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        out.append(message)

    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": raw,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    await app(scope, receive, send)
    if not out:
        return None
    body_sent = b"".join(part.get("body", b"") for part in out[1:])
    named = {name.decode(): value.decode("latin-1") for name, value in out[0]["headers"]}
    return Answered(out[0]["status"], named, body_sent)
