"""A scoring run that dies at a given point: `python killed.py TESTS INPUT OUTPUT WHERE COUNT`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

sys.path.insert(0, sys.argv[1])

import scored_files
from forgeml.inference.files import chunks, parquet, resuming

POINTS: dict[str, tuple[Any, str]] = {
    "predict": (scored_files, "predict"),
    "fsync": (os, "fsync"),
    "merge": (parquet.pq.ParquetWriter, "write_table"),
    "encode": (resuming.PartFile, "append"),
}


def main(source: str, target: str, where: str, count: int) -> None:
    """Score, and be killed before the given call; 0 for never."""
    chunks.ROWS_AT_ONCE = 50
    parquet.ROWS_AT_ONCE = 50
    parquet.ROWS_IN_GROUP = 120
    resuming.SECONDS_BETWEEN_NOTES = 0.0
    owner, name = POINTS[where]
    call: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def deadly(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **more)

    setattr(owner, name, deadly)
    sys.stdout.write(f"{scored_files.score(source, target).continued_from}\n")


if __name__ == "__main__":
    main(*sys.argv[2:5], int(sys.argv[5]))
