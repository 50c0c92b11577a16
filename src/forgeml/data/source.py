"""The one question of where `data.dataset` lies."""

from __future__ import annotations

from forgeml.data import files, hub
from forgeml.records import Source


def read_source(dataset: str, subset: str | None = None) -> Source:
    """Read labelled text from a local file or folder, or else from the hub.

    Raises:
        DataError: there is nothing to read, or it cannot be read.
        HubError: the hub did not deliver.
    """
    return files.read_files(dataset) if files.is_local(dataset) else hub.read_hub(dataset, subset)
