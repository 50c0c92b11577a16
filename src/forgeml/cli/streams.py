"""stdout and stderr for a long run: whoever reads them may go away."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from forgeml.errors import MachineError


class ReaderGone(Exception):  # noqa: N818 - not a failure: `head` has seen enough
    """Nobody reads the results any more."""


class _Stream(io.TextIOWrapper):
    """Text in UTF-8; what the system refuses to take goes nowhere from then on, and `_lost` says what follows."""

    def __init__(self, stream: TextIO) -> None:
        # Under a locale without UTF-8 a text must not end the program.
        super().__init__(
            stream.buffer, encoding="utf-8", errors="backslashreplace", line_buffering=self._by_line(stream)
        )

    def _by_line(self, stream: TextIO) -> bool:
        return stream.isatty()

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

    def _lost(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise ReaderGone from error
        what = f"cannot be written: {error.strerror or error}"
        raise MachineError.at("standard output", what, "check the space and the rights there") from error


class Story(_Stream):
    """stderr: a run does not depend on whether somebody watches it."""

    def _by_line(self, stream: TextIO) -> bool:
        return True

    def _lost(self, error: OSError) -> None:
        pass


def prepare() -> None:
    """Put these in the place of the process's own streams, and of those that are closed."""
    # A closed stream's number would go to the next file that is opened, and libraries would write into that.
    for closed in (stream for stream in (sys.stdin, sys.stdout, sys.stderr) if stream is None):
        del closed
        os.open(os.devnull, os.O_RDWR)
    sys.stdout = Results(sys.stdout or open(os.devnull, "w"))
    sys.stderr = Story(sys.stderr or open(os.devnull, "w"))
