from __future__ import annotations

import asyncio

from forgeml.serving.transport.waiting import LINGER_BYTES, LINGER_S, Lingering, Unread


class Pipe(asyncio.Transport):
    """A transport that notes what it is told."""

    def __init__(self, unsent: int, broken: bool = False) -> None:
        """Have some bytes that are not sent yet."""
        super().__init__()
        self.unsent = unsent
        self.broken = broken
        self.told: list[str] = []

    def get_write_buffer_size(self) -> int:
        """Bytes that are not sent."""
        return self.unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Note it."""
        self.told.append(f"limit {high}")

    def write_eof(self) -> None:
        """Note it, or fail."""
        if self.broken:
            raise OSError("not connected")
        self.told.append("eof")

    def abort(self) -> None:
        """Note it."""
        self.told.append("abort")


def test_unread_counts_from_the_last_reading() -> None:
    """The time runs while nothing is read, and begins anew with each byte that is."""
    unread = Unread()
    assert unread.seconds(0, 1.0) == 0
    assert unread.seconds(100, 2.0) == 0
    assert unread.seconds(100, 5.0) == 3
    assert unread.seconds(200, 6.0) == 4
    assert unread.seconds(150, 7.0) == 0
    assert unread.seconds(150, 9.0) == 2
    assert unread.seconds(0, 20.0) == 0
    assert unread.seconds(10, 30.0) == 0


def test_the_end_is_told_when_all_is_sent() -> None:
    """The client learns of the end behind the last byte, and has its time from then on."""
    pipe = Pipe(unsent=10)
    lingering = Lingering(pipe, now=0.0)
    assert pipe.told == ["limit 0"]
    lingering.check(1_000.0)
    lingering.half_close(1_000.0)
    lingering.check(1_000.0 + LINGER_S)
    assert pipe.told == ["limit 0", "eof"]
    lingering.check(1_000.1 + LINGER_S)
    assert pipe.told[-1] == "abort"


def test_a_client_that_never_stops_is_cut_off() -> None:
    """Bytes are dropped up to a bound."""
    pipe = Pipe(unsent=0)
    lingering = Lingering(pipe, now=0.0)
    lingering.drop(LINGER_BYTES)
    assert pipe.told == ["eof"]
    lingering.drop(1)
    assert pipe.told == ["eof", "abort"]


def test_a_client_that_is_gone_is_no_error() -> None:
    """The end cannot be told to who has left."""
    pipe = Pipe(unsent=0, broken=True)
    Lingering(pipe, now=0.0).check(LINGER_S + 1)
    assert pipe.told == ["abort"]
