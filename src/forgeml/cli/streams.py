"""stdout and stderr for a long run: whoever reads them may go away."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from forgeml.errors import MachineError

STDERR = 2


class ReaderGone(Exception):  # noqa: N818 - not a failure: `head` has seen enough
    """Nobody reads the results any more."""


class _Stream(io.TextIOWrapper):
    """What the system refuses to take goes nowhere from then on; `_lost` says what follows from that."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._to_nowhere()
            self._lost(error)
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._to_nowhere()
            self._lost(error)

    def _to_nowhere(self) -> None:
        # The stream keeps what it could not write and tries again whenever it is flushed, at the latest at the end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)

    def _lost(self, error: OSError) -> None:
        raise NotImplementedError


class Results(_Stream):
    """stdout: without it there is nothing left to do."""

    def write_bytes(self, content: bytes) -> None:
        """Write bytes as they are, at once."""
        try:
            self.buffer.write(content)
            self.buffer.flush()
        except OSError as error:
            self._to_nowhere()
            self._lost(error)

    def _lost(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise ReaderGone from error
        what = f"cannot be written: {error.strerror or error}"
        raise MachineError.at("standard output", what, "check the space and the rights there") from error


class Story(_Stream):
    """stderr: a run does not depend on whether somebody watches it."""

    def _lost(self, error: OSError) -> None:
        pass


def write_bytes(content: bytes) -> None:
    """Write to stdout what is no text, such as a whole file.

    Raises:
        ReaderGone: nobody reads it any more.
        MachineError: it cannot be written.
    """
    if isinstance(sys.stdout, Results):
        sys.stdout.write_bytes(content)
    else:
        sys.stdout.buffer.write(content)


def prepare() -> None:
    """Put these in the place of the process's own streams, in UTF-8 whatever the locale."""
    # The number of a stream that is closed would go to the next file, and libraries would write into that.
    while (number := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass
    os.close(number)
    sys.stdout = _over(sys.stdout, Results)
    sys.stderr = _over(sys.stderr, Story)


def _over(stream: TextIO | None, kind: type[_Stream]) -> _Stream:
    buffer = stream.buffer if stream else io.BufferedWriter(io.FileIO(os.devnull, "w"))
    by_line = stream is None or bool(stream.line_buffering)
    return kind(buffer, encoding="utf-8", errors="backslashreplace", line_buffering=by_line)
