"""Standard input as a data file: a stream that can go back to its beginning for a while."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from forgeml.data.reading.opening import BLOCK, Opened, reading_errors

NAME = Path("standard input")
"""What it is called in messages."""
MOST_KEPT = 2**23
"""Bytes from the beginning that are kept for going back, as is done to recognise a delimiter or a kind of JSON."""


@contextmanager
def open_pipe(stream: BinaryIO, kind: str) -> Iterator[Opened]:
    """A stream as if it were a file of that kind.

    Args:
        stream: of bytes; it is read, not closed.
        kind: one of `opening.KINDS`.

    Raises:
        DataError: the system refuses, here or while it is read.
    """
    with reading_errors(NAME):
        content = cast(BinaryIO, io.BufferedReader(Rewinding(stream), buffer_size=BLOCK))
        # Parquet is read from its end, so it is put on disk first, as what is compressed is.
        yield Opened(NAME, kind, kind == ".parquet", 0, content, content)


class Rewinding(io.RawIOBase):
    """A stream that can be read again from its beginning until a lot has been read."""

    def __init__(self, stream: BinaryIO) -> None:
        """Read from this stream, of which nothing has been read yet."""
        self._stream = stream
        self._kept = bytearray()
        self._at, self._forgotten = 0, False

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """To its beginning, for a while."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to the beginning, or tell the place.

        Raises:
            io.UnsupportedOperation: any other place, or the beginning is not kept any more.
        """
        if (offset, whence) == (0, io.SEEK_CUR):
            return self._at
        if (offset, whence) != (0, io.SEEK_SET) or self._forgotten:
            raise io.UnsupportedOperation("a pipe cannot go back")
        self._at = 0
        return 0

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Read what is there, up to a buffer full."""
        content = bytes(self._kept[self._at : self._at + len(buffer)])
        if not content:
            content = self._stream.read(len(buffer))
            self._keep(content)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def _keep(self, content: bytes) -> None:
        if self._forgotten:
            return
        self._kept += content
        if len(self._kept) > MOST_KEPT:
            self._kept.clear()
            self._forgotten = True
