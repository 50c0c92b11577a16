"""What rows are written to: a file in the making, or a stream."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from forgeml.inference.files.resuming import Merge, PartFile, Reached, disk_errors


class Output(Protocol):
    """What pieces are written to."""

    notes: list[str]
    """What there is to say of an earlier run."""

    @property
    def reached(self) -> Reached:
        """How far the run is; at first, how far an earlier one was."""

    def append(self, piece: bytes, reached: Reached) -> None:
        """Write some more bytes, with which the run is so far."""

    def finish(self, last: bytes, merge: Merge | None) -> None:
        """Write the end, and put the whole in its place."""


class Pipe:
    """A stream, where what is written is gone."""

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        """Write to this."""
        self.reached, self.notes = Reached(), list[str]()
        self._sink = sink

    def append(self, piece: bytes, reached: Reached) -> None:
        """Write some more bytes."""
        self._sink(piece)

    def finish(self, last: bytes, merge: Merge | None) -> None:
        """Write the end."""
        self._sink(last)


class PipeOfPieces:
    """A stream of a kind that cannot be written piece by piece: all of it goes there at the end."""

    def __init__(self, sink: Callable[[bytes], None], folder: Path) -> None:
        """Write to this; keep the pieces in the folder until then."""
        self.reached, self.notes = Reached(), list[str]()
        self._sink, self._folder = sink, folder

    def append(self, piece: bytes, reached: Reached) -> None:
        """Keep some more bytes."""
        with disk_errors(self._folder), (self._folder / "part").open("ab") as part:
            part.write(piece)

    def finish(self, last: bytes, merge: Merge | None) -> None:
        """Write the file that the pieces make."""
        whole = self._folder / "part"
        with disk_errors(self._folder):
            if merge is not None:
                whole = self._folder / "whole"
                merge(self._folder / "part", whole)
            with whole.open("rb") as content:
                while block := content.read(2**20):
                    self._sink(block)


@contextmanager
def open_output(
    path: Path | None, sink: Callable[[bytes], None] | None, in_pieces: bool, key: Mapping[str, str] | None
) -> Iterator[Output]:
    """Open what is written to.

    Args:
        path: of a file; None for a stream.
        sink: takes what goes to the stream.
        in_pieces: whether the kind can be written piece by piece.
        key: see `PartFile`.

    Raises:
        MachineError: it cannot be written to, or another run is writing it.
    """
    with ExitStack() as stack:
        if path is not None:
            # A link keeps leading to the file that it led to.
            yield stack.enter_context(PartFile(path.resolve(), key))
        elif in_pieces or sink is None:
            yield Pipe(sink or (lambda piece: None))
        else:
            with disk_errors(Path(tempfile.gettempdir())):
                folder = Path(tempfile.mkdtemp(prefix="forgeml-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            yield PipeOfPieces(sink, folder)
