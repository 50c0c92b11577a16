"""What is known of one request and its response, from the first byte to the last."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, Self

KEY = "forgeml.exchange"
"""Where it stands in the scope of ASGI."""

GONE = 499
"""Stands for no status: the client has gone. Others use this number too."""

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What a request may be called by its client; anything else could be a line of a log."""


@dataclass
class Exchange:
    """Filled as the request is handled; what is told of it afterwards is in here, and no text of it is."""

    request_id: str
    method: str
    headers: dict[bytes, bytes]
    """Of the request, names in lower case; of several of one name the last."""
    began: float = field(default_factory=time.perf_counter)
    body: bytes = b""
    route: str = "other"
    """The route's own path, with names in braces, of a fixed set; `other` if there is none."""
    status: int = GONE
    """Of the response; while there is none, as when the client has gone, `GONE`."""
    code: str | None = None
    """Of the refusal, if it was refused."""
    texts: int = 0
    model_version: str | None = None

    @classmethod
    def of(cls, scope: MutableMapping[str, Any]) -> Self:
        """Begin, and leave itself in the scope."""
        headers = dict(scope["headers"])
        named = headers.get(b"x-request-id", b"").decode("latin-1")
        exchange = cls(named if NAME.fullmatch(named) else uuid.uuid4().hex, scope["method"], headers)
        scope[KEY] = exchange
        return exchange

    def header(self, name: bytes) -> str:
        """The value of a header, empty if it is not there."""
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self.began
