"""The one question of where `data.dataset` lies."""

from __future__ import annotations

from pathlib import Path

from forgeml.data import files, hub
from forgeml.errors import DataError
from forgeml.hub.errors import or_folder
from forgeml.records import Source


def read_source(dataset: str, subset: str | None = None) -> Source:
    """Read labelled text from a local file or folder, or else from the hub.

    Raises:
        DataError: there is nothing to read, or it cannot be read.
        HubError: the hub did not deliver.
    """
    if not files.is_local(dataset):
        with or_folder(dataset, lambda: files.lack(Path(dataset))):
            return hub.read_hub(dataset, subset)
    if subset is not None:
        what = f"{subset!r} is set, but {dataset} is local, where there are no subsets"
        raise DataError.at("data.subset", what, "leave it out, or set data.dataset to a data set on the hub")
    return files.read_files(dataset)
