"""What one client may ask of the server: one table, shown in the docs and at `/info`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


def _limit(default: float, help_text: str) -> Any:  # noqa: ANN401 a dataclass field of the type it stands at
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True)
class Limits:
    """The bounds on requests, connections and waiting. Sizes in bytes, characters or tokens, times in seconds."""

    body_bytes: int = _limit(1_048_576, "Bytes of a request's body; 413 beyond.")
    header_bytes: int = _limit(32_768, "Bytes of a request's line and headers together; 431 beyond.")
    headers: int = _limit(100, "Headers of a request; 431 beyond.")
    texts: int = _limit(64, "Texts of a request; 413 beyond.")
    characters: int = _limit(20_000, "Characters read of a text; the rest is left out and the answer says truncated.")
    batch_texts: int = _limit(16, "Texts that the model reads at once.")
    batch_tokens: int = _limit(4_096, "Tokens that the model reads at once, padding counted.")
    waiting_texts: int = _limit(96, "Texts that wait for the model; while there are as many, 503 to what comes.")
    waiting_explanations: int = _limit(4, "Explanations at work or waiting; 503 beyond.")
    connections: int = _limit(1_000, "Open connections; beyond, one that is idle is closed or the new one refused.")
    receive_s: float = _limit(10.0, "Time to send a request whole; 408 beyond.")
    answer_s: float = _limit(30.0, "Time from a request's arrival to its answer; 503 beyond.")
    send_s: float = _limit(30.0, "Time that a client may leave an answer unread before its connection is closed.")
    idle_s: float = _limit(65.0, "Time that a connection may rest between two requests.")

    def as_dict(self) -> dict[str, float]:
        """Each limit by its name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}
