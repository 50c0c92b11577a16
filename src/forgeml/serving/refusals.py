"""A request that gets no answer: the status, and the one JSON shape that all errors have."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass
class Refusal(Exception):  # noqa: N818 what is refused is in order; it is the request that is not
    """Ends the handling of a request. Never holds a text of the request, or a key."""

    status: int
    """HTTP status, 400 or above."""
    code: str
    """One word of a fixed set, for programs: `not_json`, `too_many_texts`."""
    message: str
    """A sentence for people: what was found and what is wanted."""
    field: str | None = None
    """Where in the body, as in `texts[3]`, or the name of a header."""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """More response headers, such as Retry-After or Allow."""

    def as_dict(self, request_id: str) -> dict[str, Any]:
        """The body of the response."""
        return {"code": self.code, "message": self.message, "field": self.field, "request_id": request_id}


class ClientGone(Exception):  # noqa: N818 nobody has made an error
    """Nobody waits for the answer any more, or the request was left half sent."""
