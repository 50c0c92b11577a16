"""Parts that need Arrow. They are loaded only where Parquet is read or written, as that takes a while."""

from __future__ import annotations

import importlib
from types import ModuleType

HOMES = {".parquet": "forgeml.inference.files.parquet"}
"""The module for each kind of file that has one of its own."""


def module_for(kind: str) -> ModuleType:
    """The module that reads and writes this kind."""
    return importlib.import_module(HOMES[kind])
