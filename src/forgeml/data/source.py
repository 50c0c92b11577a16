"""The one question of where `data.dataset` lies."""

from __future__ import annotations

import importlib
from pathlib import Path

from forgeml.config.schema import DataConfig
from forgeml.data.reading import files, places
from forgeml.data.reading.file_rows import OnProgress, ignore
from forgeml.errors import DataError
from forgeml.hub.errors import or_folder
from forgeml.records import Source

HUB = "forgeml.data.reading.hub"
"""Reads from the hub. It is loaded only where that is done, as the library behind it takes a second and 50 MB."""
HUB_ONLY, FILES_ONLY = ("subset", "revision"), ("delimiter", "encoding", "field")
"""Settings that mean something only for data sets on the hub, or only for local files."""


def read_source(data: DataConfig, on_progress: OnProgress = ignore, *, hub_away: bool = False) -> Source:
    """Read labelled text from local files, or else from the hub.

    Args:
        data: where it lies and how it is to be read.
        on_progress: told of the reading of local files: the task in words, bytes done and bytes in all.
        hub_away: the hub was asked in vain a moment ago, so what is cached serves without one more question.

    Raises:
        ConfigError: there is no encoding of the name that is set.
        DataError: there is nothing to read, or it cannot be read.
        HubError: the hub did not deliver.
    """
    dataset = data.dataset
    if isinstance(dataset, str) and not places.is_local(dataset):
        fix = "leave it out, or set data.dataset to a local file"
        _refuse_set(data, FILES_ONLY, f"{dataset} is on the hub, where it has no use", fix)
        with or_folder(dataset, lambda: places.lack(Path(dataset))):
            read_hub = importlib.import_module(HUB).read_hub
            source: Source = read_hub(dataset, data.subset, data.revision, hub_away=hub_away)
            return source
    fix = "leave it out, or set data.dataset to a data set on the hub"
    name = dataset if isinstance(dataset, str) else "the data set"
    _refuse_set(data, HUB_ONLY, f"{name} is local, where there is no such thing", fix)
    return files.read_files(data, on_progress)


def _refuse_set(data: DataConfig, names: tuple[str, ...], but: str, fix: str) -> None:
    """Refuse settings that mean nothing here; passing over them would hide a slip."""
    for name in names:
        if getattr(data, name) is not None:
            raise DataError.at(f"data.{name}", f"{getattr(data, name)!r} is set, but {but}", fix)
