"""Labelled text from the Hugging Face hub, through its own library and cache."""

from __future__ import annotations

import os
from pathlib import Path

import datasets
import pyarrow as pa
from datasets.exceptions import DataFilesNotFoundError, DatasetGenerationError, DatasetNotFoundError

from forgeml.errors import DataError, HubError, nearest
from forgeml.huggingface import dataset_commit, hub_errors, known_dataset
from forgeml.records import Source


def read_hub(dataset: str, subset: str | None) -> Source:
    """Read all splits of a data set from the cache, fetching it first where need be.

    Args:
        dataset: `owner/name`, or one of the well-known short names.
        subset: configuration of a data set that has several.

    Raises:
        HubError: not found, not allowed, or not reached.
        DataError: the subset is not there, or the files cannot be read.
    """
    known = known_dataset(dataset)
    commit = dataset_commit(known.repository)
    builder = _builder(known.repository, subset or known.subset, commit)
    fetched = not os.path.exists(builder.cache_dir)
    with hub_errors("data.dataset", known.repository):
        try:
            builder.download_and_prepare()
        except DatasetGenerationError as error:
            cause = error.__cause__ or error
            raise DataError.at(
                known.repository, f"its files cannot be read: {cause}", "choose another subset"
            ) from error
    splits = builder.as_dataset()
    return Source(
        name=known.repository,
        revision=commit or builder.hash,
        tables={name: _table(split) for name, split in splits.items()},
        class_names=_class_names(next(iter(splits.values()))),
        text_column=known.text_column,
        label_column=known.label_column,
        stored=str(Path(builder.cache_dir)),
        bytes=builder.info.dataset_size or 0,
        fetched=fetched,
    )


def _builder(repository: str, subset: str | None, commit: str | None) -> datasets.DatasetBuilder:
    with hub_errors("data.dataset", repository):
        try:
            return datasets.load_dataset_builder(repository, subset, revision=commit)
        except DatasetNotFoundError as error:
            raise error.__cause__ or error from error
        except DataFilesNotFoundError as error:
            raise DataError.at(repository, f"no data files in it: {error}", "choose another data set") from error
        except ValueError as error:
            raise _subset_error(repository, subset, error) from error


def _subset_error(repository: str, subset: str | None, error: ValueError) -> DataError | HubError:
    with hub_errors("data.dataset", repository):
        names = datasets.get_dataset_config_names(repository)
    if subset in names or not names:
        raise error
    close = nearest(subset, names) if subset else None
    found = f"no subset {subset!r} in {repository}" if subset else f"{repository} has several subsets"
    fix = f"did you mean {close}?" if close else f"set data.subset, for instance {names[0]}"
    return DataError.at("data.subset", f"{found}; it has {', '.join(names)}", fix)


def _table(split: datasets.Dataset) -> pa.Table:
    return split.with_format("arrow")[:]


def _class_names(split: datasets.Dataset) -> dict[str, list[str]]:
    features = split.features.items()
    return {name: list(feature.names) for name, feature in features if isinstance(feature, datasets.ClassLabel)}
