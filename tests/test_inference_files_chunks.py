"""Some rows at a time."""

from __future__ import annotations

import pytest

from forgeml.inference.files import chunks
from forgeml.inference.files.chunks import PythonRows, in_chunks

ROWS = [(number + 2, number + 1, {"text": "x" * number}) for number in range(10)]


def test_borders_depend_on_the_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes on behind a chunk meets the same ones that the first run would have met."""
    monkeypatch.setattr(chunks, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(chunks, "CHARACTERS_AT_ONCE", 14)
    whole = list(in_chunks("a.csv", ROWS))
    assert [len(chunk) for chunk in whole] == [4, 3, 2, 1]
    done = 0
    for place, chunk in enumerate(whole):
        assert list(in_chunks("a.csv", ROWS, skip=done)) == whole[place:]
        done += len(chunk)
    assert list(in_chunks("a.csv", ROWS, skip=done)) == []


def test_rows_may_have_keys_of_their_own() -> None:
    """The columns are all keys in the order in which they appear; what a row has not is None."""
    chunk = PythonRows("a.jsonl", [{"a": 1}, {"b": 2, "a": 3}, {}], [1, 2, 3], [1, 2, 3])
    assert chunk.names == ("a", "b")
    assert chunk.column("b") == [None, 2, None]
    assert chunk.rows()[1] == {"b": 2, "a": 3}


def test_rows_know_their_place() -> None:
    """Line and number, or the number alone in an array."""
    chunk = PythonRows("a.json", [{"a": 1}, {"a": 2}], [0, 7], [4, 5])
    assert (chunk.locate(0), chunk.locate(1)) == ("a.json item 4", "a.json:7 (row 5)")
