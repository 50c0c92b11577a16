"""A file, or standard input, as chunks of rows."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from typing import BinaryIO, cast

from forgeml.data.reading import delimited, json_rows
from forgeml.data.reading.bad_rows import LeftOut, readable
from forgeml.data.reading.decoding import as_text, check_encoding, undecodable
from forgeml.data.reading.opening import DELIMITED, LINES, Opened, check_first_bytes, open_file
from forgeml.errors import ConfigError, DataError
from forgeml.inference.files import pipes
from forgeml.inference.files.chunks import Chunk, in_chunks
from forgeml.inference.files.late import module_for
from forgeml.inference.files.places import Source

TEXT_KINDS = (*DELIMITED, *LINES, ".json")
USES = {
    "delimiter": (DELIMITED, "CSV or TSV"),
    "field": ((".json",), "JSON"),
    "encoding": (TEXT_KINDS, "text"),
    "on_bad_rows": (TEXT_KINDS, "text"),
}
"""Settings of `How`, and the kinds of files that have a use for them."""


@dataclass(frozen=True)
class How:
    """How a file is read; what is None is found out, or is as usual."""

    delimiter: str | None = None
    encoding: str | None = None
    field: str | None = None
    on_bad_rows: str | None = None
    """`error`, or `skip` to leave rows out that do not fit."""


@dataclass
class Input:
    """A file that is being read."""

    opened: Opened
    how: How
    delimiter: str = ","
    """Of CSV; known once the first chunk is there."""
    left_out: LeftOut = field(default_factory=LeftOut)
    progress: Callable[[], tuple[int, int]] = lambda: (0, 0)
    """How much has been read, and how much there is; 0 where that is not known."""

    def chunks(self, skip: int = 0) -> Generator[Chunk, None, None]:
        """All rows but the first ones.

        Args:
            skip: rows to be passed over; the end of a chunk of an earlier run.

        Raises:
            DataError: damaged, or rows that do not fit; up to ten of them are named together.
        """
        check_first_bytes(self.opened)
        if self.opened.kind == ".parquet":
            yield from module_for(".parquet").read_chunks(self, skip)
            return
        self.progress = lambda: (self.opened.done(), self.opened.size)
        try:
            with as_text(self.opened, self.how.encoding) as lines:
                rows = readable(self._records(lines), self.how.on_bad_rows or "error", self.left_out)
                yield from in_chunks(str(self.opened.path), rows, skip)
        except UnicodeError as error:
            raise self._undecodable(error) from error

    def _records(self, lines: TextIOWrapper) -> Iterator[json_rows.Record]:
        path = self.opened.path
        if self.opened.kind in DELIMITED:
            return self._fields(lines)
        if self.opened.kind == ".json":
            return json_rows.read_array(path, lines, self.how.field)
        return json_rows.read_records(path, lines)

    def _fields(self, lines: TextIOWrapper) -> Iterator[json_rows.Record]:
        """Rows of fields by the names in the header."""
        if self.how.delimiter is not None:
            self.delimiter = delimited.NAMED.get(self.how.delimiter, self.how.delimiter)
        elif self.opened.kind == ".tsv":
            self.delimiter = "\t"
        else:
            self.delimiter = delimited.recognise(lines)
            lines.seek(0)
        records = delimited.read_records(self.opened.path, lines, self.delimiter)
        header: list[str] = []
        for record in records:
            if not isinstance(record, tuple):
                yield record
            elif not header:
                header = record[1]
            else:
                yield record[0], dict(zip(header, record[1], strict=True))

    def _undecodable(self, error: UnicodeError) -> DataError:
        if self.opened.path != pipes.NAME:
            return undecodable(self.opened.path, self.how.encoding)
        bad = f": byte 0x{error.object[error.start]:02x}" if isinstance(error, UnicodeDecodeError) else ""
        what = f"not {self.how.encoding or 'UTF-8'}{bad}"
        return DataError.at(str(pipes.NAME), what, "set data.encoding to the encoding that it is in")


@contextmanager
def open_input(source: Source, how: How) -> Iterator[Input]:
    """Open a file or a stream for reading.

    Raises:
        ConfigError: a setting that this kind of file has no use for, or that names nothing.
        DataError: it cannot be read.
    """
    check_encoding(how.encoding)
    if how.delimiter is not None and len(delimited.NAMED.get(how.delimiter, how.delimiter)) != 1:
        raise ConfigError.at("data.delimiter", f"{how.delimiter!r} is not one character", 'name one such as ";" or tab')
    opening = open_file(source.path) if source.path else pipes.open_pipe(cast(BinaryIO, source.stream), source.kind)
    with opening as opened:
        for name, (kinds, words) in USES.items():
            if getattr(how, name) is not None and opened.kind not in kinds:
                what = f"{getattr(how, name)!r} is set, but {opened.path} is not {words}"
                raise ConfigError.at(f"data.{name}", what, "leave it out")
        yield Input(opened, how)
