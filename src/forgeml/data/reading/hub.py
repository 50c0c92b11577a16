"""Labelled text from the Hugging Face hub, through its own library and cache."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import datasets
import pyarrow as pa
from datasets.exceptions import DataFilesNotFoundError, DatasetsError
from datasets.naming import camelcase_to_snakecase
from datasets.packaged_modules.cache.cache import Cache

from forgeml.errors import DataError, nearest
from forgeml.hub.client import Found, look_up, patiently
from forgeml.hub.errors import Asked, HubAwayError, hub_errors
from forgeml.hub.names import known_dataset
from forgeml.records import Source

PREPARED = "dataset_info.json"
"""Written last into a folder of the cache, so a folder that has it is whole."""
STILL_PREPARING = ".incomplete"
DEFAULT_SUBSET = "default"
"""What the library calls the subset of a data set that names none, and takes before all others where none is chosen."""

# What it has to say of errors comes out in the errors themselves.
datasets.logging.set_verbosity(datasets.logging.CRITICAL)
if not sys.stderr.isatty():
    # The hub client draws its bars only on a terminal; this library draws them in files and pipes as well.
    datasets.disable_progress_bars()


def read_hub(dataset: str, subset: str | None, revision: str | None = None) -> Source:
    """Read all splits of a data set from the cache, fetching it first where need be.

    The hub is not asked where `revision` is a commit that is in the cache. Without a subset it still is, unless the
    cached one is called `default`, as only the hub knows which one is taken then.

    Args:
        dataset: `owner/name`, or one of the well-known short names.
        subset: configuration of a data set that has several.
        revision: branch, tag or commit; None stands for the newest commit.

    Raises:
        HubError: not found, not allowed, or neither reached nor cached.
        DataError: the subset is not there, or the files cannot be read.
        MachineError: the files cannot be written.
    """
    asked = Asked("dataset", known_dataset(dataset).repository, revision)
    ready = _at_commit(asked, subset) or _fetched_or_cached(asked, subset)
    builder = ready.builder
    splits = _splits(builder)
    known, folder = known_dataset(builder.repo_id), Path(builder.cache_dir)
    return Source(
        name=known.repository,
        revision=builder.hash,
        tables={split: rows.data.table for split, rows in splits.items()},
        class_names=_class_names(next(iter(splits.values())).features),
        text_column=known.text_column,
        label_column=known.label_column,
        stored=str(folder),
        bytes=sum(file.stat().st_size for file in folder.iterdir()),
        fetched=ready.fetched,
        locate=partial(_place, known.repository),
        notes=tuple(note for note in ready.notes if note),
    )


@dataclass(frozen=True)
class Ready:
    """A data set in the cache, ready to be read."""

    builder: datasets.DatasetBuilder
    fetched: bool
    """Whether it had to be fetched."""
    notes: tuple[str, ...] = ()


def _at_commit(asked: Asked, subset: str | None) -> Ready | None:
    """The prepared copy of a commit, which serves without a question to the hub."""
    wanted = subset or known_dataset(asked.name).subset or DEFAULT_SUBSET
    if asked.pinned:
        for folder in _prepared_folders(asked.name):
            if (folder.name, folder.parts[-3]) == (asked.revision, wanted):
                return Ready(_builder_of(folder, asked.name), fetched=False)
    return None


def _fetched_or_cached(asked: Asked, subset: str | None) -> Ready:
    try:
        found = look_up(asked)
        asked = replace(asked, name=found.name)
        return Ready(*_fetch(found, subset or known_dataset(asked.name).subset))
    except HubAwayError as away:
        builder = _cached(asked, subset or known_dataset(asked.name).subset, away)
        return Ready(builder, fetched=False, notes=(away.note(), _revision_note(asked, builder.hash)))


def _fetch(found: Found, subset: str | None) -> tuple[datasets.DatasetBuilder, bool]:
    """The data set at the commit, ready to be read, and whether it had to be fetched."""
    builder = _builder(found, subset)
    fetched = not Path(builder.cache_dir, PREPARED).exists()
    with hub_errors(Asked("dataset", found.name)):
        try:
            patiently(builder.download_and_prepare)
        except OSError:
            raise
        except (DatasetsError, ValueError, TypeError, KeyError) as error:
            if isinstance(error.__cause__, OSError):
                # A full disk, most of all, which the library takes for the fault of the data.
                raise error.__cause__ from None
            raise _unreadable(found.name, error.__cause__ or error) from error
    return builder, fetched


def _builder(found: Found, subset: str | None) -> datasets.DatasetBuilder:
    # Written as an address, as a folder of the same name in the working folder would be read instead.
    address = f"hf://datasets/{found.name}"
    with hub_errors(Asked("dataset", found.name)):
        try:
            return patiently(lambda: datasets.load_dataset_builder(address, subset, revision=found.commit))
        except DataFilesNotFoundError as error:
            what = f"no data files in it that can be read: {error}"
            raise DataError.at(found.name, what, "choose another data set") from error
        except RuntimeError as error:
            what = f"it comes as a Python script, and scripts from the hub are not run ({error})"
            raise DataError.at(found.name, what, "choose a data set that comes as files") from error
        except ValueError as error:
            raise _subset_error(found, subset, error) from error


def _subset_error(found: Found, subset: str | None, error: ValueError) -> DataError:
    with hub_errors(Asked("dataset", found.name)):
        names = datasets.get_dataset_config_names(f"hf://datasets/{found.name}", revision=found.commit)
    if subset in names or (subset is None and len(names) < 2):
        return _unreadable(found.name, error)
    return _no_subset(found.name, subset, names, "it has")


def _no_subset(name: str, subset: str | None, names: list[str], which: str) -> DataError:
    close = nearest(subset, names) if subset else None
    found = f"no subset {subset!r} in {name}" if subset else f"{name} has several subsets, and none is chosen"
    fix = f"did you mean {close}? set data.subset" if close else f"set data.subset, for instance to {names[0]}"
    return DataError.at("data.subset", f"{found}; {which} {', '.join(names)}", fix)


def _unreadable(name: str, error: BaseException) -> DataError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return DataError.at(name, f"its files cannot be read: {reason}", "choose another subset or another data set")


def _cached(asked: Asked, subset: str | None, away: HubAwayError) -> datasets.DatasetBuilder:
    """The prepared copy of the commit that is asked for; of a branch or tag the newest.

    The library would look for it only after half a minute of tries.

    Raises:
        HubError: there is none.
        DataError: there are several subsets, and none is chosen.
    """
    name, folders = asked.name, _prepared_folders(asked.name)
    if _is_commit(asked.revision):
        at_commit = [folder for folder in folders if folder.name.startswith(asked.revision or "")]
        if folders and not at_commit:
            raise away.without(f"the cache has {name} only at other commits than {asked.revision}") from away
        folders = at_commit
    if not folders:
        raise away.without(asked.not_cached()) from away
    subsets = sorted({folder.parts[-3] for folder in folders})
    chosen = subset or (subsets[0] if len(subsets) == 1 else None)
    if chosen is None:
        raise _no_subset(name, None, subsets, "the cache has") from away
    if chosen not in subsets:
        raise away.without(f"the cache has only the subsets {', '.join(subsets)} of {name}") from away
    newest = max(
        (folder for folder in folders if folder.parts[-3] == chosen), key=lambda folder: folder.stat().st_mtime
    )
    return _builder_of(newest, name)


def _builder_of(folder: Path, name: str) -> datasets.DatasetBuilder:
    """Of a folder as `_prepared_folders` gives them."""
    owner, _, dataset = folder.parts[-4].partition("___")
    return Cache(
        repo_id=name if "/" in name else f"{owner}/{dataset}",
        dataset_name=dataset,
        config_name=folder.parts[-3],
        version=folder.parts[-2],
        hash=folder.name,
    )


def _is_commit(revision: str | None) -> bool:
    return revision is not None and re.fullmatch("[0-9a-f]{7,40}", revision) is not None


def _revision_note(asked: Asked, commit: str) -> str:
    if asked.revision is None or _is_commit(asked.revision):
        return ""
    return f"which commit {asked.revision} of {asked.name} stands for is not known without the hub; {commit} serves"


def _prepared_folders(name: str) -> list[Path]:
    """Folders `owner___name/subset/version/commit` of the cache that are whole."""
    owner, _, dataset = name.rpartition("/")
    written = f"{owner or '*'}___{camelcase_to_snakecase(dataset)}"
    found = Path(datasets.config.HF_DATASETS_CACHE).expanduser().glob(f"{written}/*/*/*/{PREPARED}")
    return [file.parent for file in found if not file.parent.name.endswith(STILL_PREPARING)]


def _splits(builder: datasets.DatasetBuilder) -> Mapping[str, datasets.Dataset]:
    try:
        splits: Mapping[str, datasets.Dataset] = builder.as_dataset()
    except (OSError, ValueError, pa.ArrowException, DatasetsError) as error:
        what = f"the copy in the cache cannot be read: {error}"
        raise DataError.at(
            builder.repo_id, what, f"delete {builder.cache_dir}; the next run fetches it again"
        ) from error
    return splits


def _class_names(features: datasets.Features) -> dict[str, list[str]]:
    """The names behind the integers of the columns that hold a class or a list of them."""
    inner = {
        column: kind.feature if isinstance(kind, datasets.List | datasets.LargeList) else kind
        for column, kind in features.items()
    }
    return {column: list(kind.names) for column, kind in inner.items() if isinstance(kind, datasets.ClassLabel)}


def _place(name: str, split: str, row: int) -> str:
    return f"{name} {split} row {row + 1}"
