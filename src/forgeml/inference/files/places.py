"""Where rows come from and where they go: a file, or a pipe whose kind is told."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from forgeml.data.reading.opening import KINDS, is_data_file, suffix
from forgeml.data.reading.places import ODD_FILES, missing_fix
from forgeml.errors import ConfigError, DataError, MachineError

PIPE = "-"
"""Stands for standard input or standard output."""
PIPE_KINDS = tuple(kind[1:] for kind in KINDS)
WRITTEN = {".csv": ".csv", ".tsv": ".tsv", ".json": ".json", ".jsonl": ".jsonl", ".ndjson": ".jsonl"}
"""Kinds that are text: the end of a name, and the kind that is written for it."""


@dataclass(frozen=True)
class Source:
    """What is read."""

    kind: str
    """One of `opening.KINDS`; of an archive the kind is known when it is open."""
    path: Path | None = None
    """None for a stream."""
    stream: BinaryIO | None = None

    def __str__(self) -> str:
        """Its name for messages."""
        return str(self.path or "standard input")


@dataclass(frozen=True)
class Target:
    """What is written."""

    kind: str
    """`.csv`, `.tsv`, `.json`, `.jsonl` or `.parquet`."""
    packed: bool = False
    """Whether it is compressed with gzip."""
    path: Path | None = None
    """None for a stream."""
    sink: Callable[[bytes], None] | None = None
    """Takes what goes to the stream."""

    def __str__(self) -> str:
        """Its name for messages."""
        return str(self.path or "standard output")


def source_of(name: str, kind: str | None, stream: BinaryIO) -> Source:
    """What `name` means.

    Args:
        name: a file, or `-`.
        kind: of a stream, one of `PIPE_KINDS`; None for a file, whose name tells it.
        stream: what `-` stands for.

    Raises:
        ConfigError: a kind without a stream, or a stream without a kind.
        DataError: there is no such file.
    """
    if name == PIPE:
        return Source(_pipe_kind("--from", kind), stream=stream)
    _refuse_kind("--from", kind, name)
    path = Path(os.path.expanduser(name))
    _check_file(path, name)
    return Source(suffix(path), path)


def target_of(name: str, kind: str | None, source: Source, overwrite: bool, sink: Callable[[bytes], None]) -> Target:
    """What `name` means as a place to write to.

    Args:
        name: a file, or `-`.
        kind: of a stream, one of `PIPE_KINDS`, or None for that of the source; None for a file.
        source: what is read.
        overwrite: whether a file that is there may be replaced.
        sink: takes what is written to `-`.

    Raises:
        ConfigError: a kind that is not written, the source itself, or a file that is there already.
        MachineError: no such folder, or a folder stands there.
    """
    if name == PIPE:
        same = source.kind if source.kind in KINDS else None
        chosen = _pipe_kind("--to", kind or (same and same[1:]))
        return Target(WRITTEN.get(chosen, chosen), sink=sink)
    _refuse_kind("--to", kind, name)
    path = Path(os.path.expanduser(name))
    written, packed = _written_kind(path)
    if path.is_dir():
        raise MachineError.at(str(path), "it is a folder", f"name a file, such as {path / ('scored' + written)}")
    if not path.parent.is_dir():
        raise MachineError.at(str(path.parent), "no such folder", f"make it with mkdir -p {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise MachineError.at(str(path.parent), "the folder cannot be written to", "name another one, or change it")
    if path.exists():
        if source.path and path.samefile(source.path):
            raise ConfigError.at(str(path), "the output is the input itself", "name another file for --output")
        if not overwrite:
            raise ConfigError.at(str(path), "is there already", "name another file, or add --overwrite to replace it")
    return Target(written, packed, path)


def looks_like_file(text: str) -> bool:
    """Whether a text given on the command line is the name of a data file, there or not."""
    if text == PIPE:
        return True
    try:
        named = is_data_file(Path(text))
    except ValueError:
        return False
    return named and (os.path.isfile(os.path.expanduser(text)) or not any(map(str.isspace, text)))


def _written_kind(path: Path) -> tuple[str, bool]:
    """The kind that is written under this name, and whether it is compressed."""
    end, packed = suffix(path), path.name.lower().endswith(".gz")
    if end in WRITTEN:
        return WRITTEN[end], packed
    if end == ".parquet" and not packed:
        return end, False
    what = (
        "Parquet is compressed by itself" if end == ".parquet" else f"{end or 'a name without an end'} is not written"
    )
    fix = f"end the name in one of {', '.join(WRITTEN)}, also with .gz, or in .parquet"
    raise ConfigError.at(str(path), what, fix)


def _pipe_kind(option: str, kind: str | None) -> str:
    listed = ", ".join(PIPE_KINDS)
    if kind is None:
        raise ConfigError.at(option, "is missing: a pipe has no name that tells its kind", f"give one of {listed}")
    if kind not in PIPE_KINDS:
        raise ConfigError.at(option, f"{kind!r} is no kind of data", f"give one of {listed}")
    return f".{kind}"


def _refuse_kind(option: str, kind: str | None, name: str) -> None:
    if kind is not None:
        raise ConfigError.at(option, f"is for - only; the kind of {name} is told by its name", "leave it out")


def _check_file(path: Path, name: str) -> None:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise DataError.at(name, "no such file", missing_fix(path, name.rstrip("/"))) from error
    if stat.S_ISDIR(mode):
        raise DataError.at(name, "a folder, where a file is wanted", missing_fix(path / "x", name.rstrip("/")))
    if not stat.S_ISREG(mode):
        what = f"is not a file: it is {ODD_FILES.get(stat.S_IFMT(mode), 'of another kind')}"
        raise DataError.at(name, what, "give what comes from it on standard input, as -")
