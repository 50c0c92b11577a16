"""Standard input as a data file."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from forgeml.data.reading.decoding import as_text
from forgeml.errors import DataError
from forgeml.inference.files import pipes
from forgeml.inference.files.pipes import Rewinding, open_pipe


def test_a_pipe_can_be_read_again_from_its_beginning() -> None:
    """What was looked at to recognise the kind is not lost, and what follows it comes in its order."""
    content = os.urandom(2**20)
    stream = io.BufferedReader(Rewinding(io.BytesIO(content)), 1000)
    assert stream.read(5000) == content[:5000]
    stream.seek(0)
    assert stream.read(3000) == content[:3000]
    assert stream.tell() == 3000
    stream.seek(0)
    assert stream.read() == content


def test_a_pipe_forgets_its_beginning_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Going back is refused when too much has been read, and no place but the beginning is offered."""
    monkeypatch.setattr(pipes, "MOST_KEPT", 100)
    stream = Rewinding(io.BytesIO(b"x" * 1000))
    assert stream.read(200) == b"x" * 200
    for place in ((0,), (5,), (0, io.SEEK_END)):
        with pytest.raises(io.UnsupportedOperation):
            stream.seek(*place)
    assert len(stream.read()) == 800


def test_text_from_a_pipe(tmp_path: Path) -> None:
    """Lines come as from a file, and reading can begin again."""
    with open_pipe(io.BytesIO("\ufeffnaïve\nb\n".encode()), ".csv") as opened, as_text(opened, None) as lines:
        assert lines.readline() == "naïve\n"
        lines.seek(0)
        assert lines.read() == "naïve\nb\n"


def test_trouble_with_the_stream_is_told() -> None:
    """What the system raises is an error of the data with the name of the stream."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with (
        pytest.raises(DataError, match="standard input: cannot be read: Input/output error"),
        open_pipe(Broken(), ".csv") as opened,
    ):
        opened.content.read(10)
