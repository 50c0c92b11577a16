from __future__ import annotations

from forgeml.serving.transport.connections import REFUSED_AT_ONCE, Connections


class Quiet:
    """A connection that notes what it is told."""

    def __init__(self) -> None:
        """Nothing has been told."""
        self.told: list[str] = []

    def check(self, now: float) -> None:
        """Note it."""
        self.told.append(f"check {now:g}")

    def close_idle(self) -> None:
        """Note it."""
        self.told.append("close")

    def abort(self) -> None:
        """Note it."""
        self.told.append("abort")


def test_the_longest_resting_makes_room() -> None:
    """With all places taken the one that has rested longest goes, be it new or used."""
    counts: list[int] = []
    connections = Connections(2, counts.append)
    first, second, third, fourth = Quiet(), Quiet(), Quiet(), Quiet()
    assert connections.admit(first)
    assert connections.admit(second)
    connections.busy(first)
    connections.rests(first)
    assert connections.admit(third)
    assert (first.told, second.told) == ([], ["close"])
    assert connections.admit(fourth)
    assert first.told == ["close"]
    for one in (first, second, third, fourth):
        connections.gone(one)
    assert (len(connections), counts[-1]) == (0, 0)
    assert max(counts) == 2


def test_few_are_refused_in_words() -> None:
    """With all places busy new ones are to be refused, and beyond a number of those, cut off."""
    connections = Connections(1, lambda open: None)
    busy = Quiet()
    connections.admit(busy)
    connections.busy(busy)
    refused = [Quiet() for _ in range(REFUSED_AT_ONCE + 1)]
    assert not any(connections.admit(one) for one in refused)
    assert [one.told for one in refused] == [[]] * REFUSED_AT_ONCE + [["abort"]]
    connections.check(3)
    assert busy.told == refused[0].told == ["check 3"]
    connections.gone(refused[0])
    assert not connections.admit(last := Quiet())
    assert last.told == []


def test_what_is_unfinished() -> None:
    """A connection is finished when its last answer is written, or when it is gone."""
    connections = Connections(5, lambda open: None)
    one, other = Quiet(), Quiet()
    connections.admit(one)
    connections.admit(other)
    assert (connections.unfinished, connections.resting) == (2, 2)
    connections.ends(one)
    assert (connections.unfinished, connections.resting, len(connections)) == (1, 1, 2)
    connections.close_resting()
    assert (one.told, other.told) == ([], ["close"])
    connections.gone(one)
    connections.gone(other)
    assert (connections.unfinished, len(connections)) == (0, 0)


def test_abort_reaches_all() -> None:
    """In the end all are dropped."""
    connections = Connections(5, lambda open: None)
    one = Quiet()
    connections.admit(one)
    connections.abort()
    assert one.told == ["abort"]
