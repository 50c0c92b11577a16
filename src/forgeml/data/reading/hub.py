"""Labelled text from the Hugging Face hub, through its own library and cache."""

from __future__ import annotations

import glob
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import datasets
import pyarrow as pa
from datasets.exceptions import DataFilesNotFoundError, DatasetsError
from datasets.naming import camelcase_to_snakecase
from datasets.packaged_modules.cache.cache import Cache

from forgeml.data.reading.prepared import WHOLE, Prepared, choose, find_prepared, known_default, remember_default
from forgeml.errors import DataError, ForgeError, nearest
from forgeml.hub.client import download, look_up
from forgeml.hub.errors import Asked, HubAwayError, hub_errors
from forgeml.hub.names import known_dataset
from forgeml.hub.patience import patient
from forgeml.hub.wanted import Wanted
from forgeml.records import Source

DESCRIBING = ("README.md", ".huggingface.yaml", "dataset_infos.json")
"""Files of a repository by which the library knows how its data are to be read."""

# What it has to say of errors comes out in the errors themselves.
datasets.logging.set_verbosity(datasets.logging.CRITICAL)
if not sys.stderr.isatty():
    datasets.disable_progress_bars()


@dataclass(frozen=True)
class Ready:
    """A data set in the cache, ready to be read."""

    builder: datasets.DatasetBuilder
    fetched: bool
    """Whether it had to be fetched."""
    notes: tuple[str, ...] = ()


def read_hub(dataset: str, subset: str | None, revision: str | None = None, *, hub_away: bool = False) -> Source:
    """Read all splits of a data set from the cache, fetching it first where need be.

    The hub is not asked where `revision` is a commit that is in the cache. Without a subset that holds once it is known
    which one the hub gives then. Where what is in the cache could serve, the hub is asked once, and for a short time.

    Args:
        dataset: `owner/name`, or one of the well-known short names.
        subset: configuration of a data set that has several.
        revision: branch, tag or commit; None stands for the newest commit.
        hub_away: the hub was asked in vain a moment ago, so what is cached serves without one more question.

    Raises:
        HubError: not found, not allowed, or neither reached nor cached.
        DataError: the subset is not there, or the files cannot be read.
        MachineError: the files cannot be written.
    """
    known = known_dataset(dataset)
    asked, subset = Asked("dataset", known.repository, revision), subset or known.subset
    ready = _at_commit(asked, subset) or _newest(asked, subset, hub_away)
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
        notes=ready.notes,
    )


def _at_commit(asked: Asked, subset: str | None) -> Ready | None:
    """The prepared copy of a commit, which serves without a question to the hub."""
    if not asked.pinned or asked.revision is None:
        return None
    subset = subset or known_default(asked.name, asked.revision)
    copy = choose(_copies(asked), subset, asked.revision) if subset else None
    return Ready(_builder_of(copy, asked.name), fetched=False) if copy else None


def _newest(asked: Asked, subset: str | None, hub_away: bool) -> Ready:
    """The data set at the commit that the hub names, or else the copy that is cached."""
    copies = _copies(asked)
    cached, notes = _cached(asked, subset, copies)
    try:
        if hub_away and cached:
            raise HubAwayError.at(asked.setting, "the hub gave no answer for the model", "try again later")
        found = look_up(asked, quick=cached is not None)
        asked, subset = replace(asked, name=found.name), subset or known_dataset(found.name).subset
        return _at_commit(replace(asked, revision=found.commit), subset) or _fetch(asked, subset)
    except HubAwayError as away:
        if cached is None:
            raise _lack(asked, subset, copies, away) from away
        return Ready(_builder_of(cached, asked.name), False, (*away.notes(), *notes))


def _cached(asked: Asked, subset: str | None, copies: Sequence[Prepared]) -> tuple[Prepared | None, tuple[str, ...]]:
    """The copy that serves without the hub, with a sentence if it may be of another commit than is asked for."""
    if _is_commit(asked.revision):
        return choose(copies, subset, asked.revision or ""), ()
    # The library notes what a branch or tag stood for.
    noted = Wanted(asked, ()).folder()
    if noted and (copy := choose(copies, subset, noted.name)):
        return copy, ()
    copy = choose(copies, subset, "")
    if copy is None or asked.revision is None:
        return copy, ()
    what = f"which commit {asked.revision} of {asked.name} stands for is not known without the hub"
    return copy, (f"{what}; {copy.commit} serves",)


def _lack(asked: Asked, subset: str | None, copies: Sequence[Prepared], away: HubAwayError) -> ForgeError:
    """Why no copy serves."""
    name, revision = asked.name, asked.revision
    if _is_commit(revision):
        at_commit = [copy for copy in copies if copy.commit.startswith(revision or "")]
        if copies and not at_commit:
            return away.without(f"the cache has {name} only at other commits than {revision}")
        copies = at_commit
    if not copies:
        return away.without(asked.not_cached())
    subsets = sorted({copy.subset for copy in copies})
    if subset is None:
        return _no_subset(name, None, subsets, "the cache has")
    return away.without(f"the cache has only the subsets {', '.join(subsets)} of {name}")


def _fetch(asked: Asked, subset: str | None) -> Ready:
    """The data set, by its full name, at the commit that the revision stands for now.

    Raises:
        HubAwayError: the hub gave no usable answer.
        HubError: not found or not allowed.
        DataError: the subset is not there, or the files cannot be read.
    """
    at = replace(asked, revision=download(Wanted(asked, DESCRIBING)).name)
    builder = _builder(at, subset)
    fetched = not Path(builder.cache_dir, WHOLE).exists()
    if fetched:
        beginning = f"hf://datasets/{at.name}@{at.revision}/"
        files = [file for many in (builder.config.data_files or {}).values() for file in many if beginning in file]
        # Fetched before the library does it, which would not see whether they are damaged.
        download(Wanted(at, tuple(glob.escape(file.rpartition(beginning)[2]) for file in files)))
        _prepare(builder, at)
    if subset is None:
        remember_default(at.name, builder.hash, builder.config.name)
    return Ready(builder, fetched)


def _prepare(builder: datasets.DatasetBuilder, asked: Asked) -> None:
    with hub_errors(asked), patient():
        try:
            builder.download_and_prepare()
        except OSError:
            raise
        except (DatasetsError, ValueError, TypeError, KeyError) as error:
            reason = error.__cause__
            if isinstance(reason, OSError) and reason.errno is not None:
                # A full disk, most of all, which the library takes for the fault of the data.
                raise reason from None
            raise _unreadable(asked.name, reason or error) from error


def _builder(asked: Asked, subset: str | None) -> datasets.DatasetBuilder:
    # Written as an address, as a folder of the same name in the working folder would be read instead.
    address = f"hf://datasets/{asked.name}"
    with hub_errors(asked), patient():
        try:
            builder = datasets.load_dataset_builder(address, subset, revision=asked.revision)
        except DataFilesNotFoundError as error:
            what = f"no data files in it that can be read: {error}"
            raise DataError.at(asked.name, what, "choose another data set") from error
        except RuntimeError as error:
            what = f"it comes as a Python script, and scripts from the hub are not run ({error})"
            raise DataError.at(asked.name, what, "choose a data set that comes as files") from error
        except ValueError as error:
            raise _subset_error(asked, subset, error) from error
    if builder.hash != asked.revision:
        # Where an answer fails, the library takes what the cache has, of whichever commit.
        raise HubAwayError.at(asked.setting, f"the hub stopped answering for {asked.name}", "try again")
    return builder


def _subset_error(asked: Asked, subset: str | None, error: ValueError) -> DataError:
    names = datasets.get_dataset_config_names(f"hf://datasets/{asked.name}", revision=asked.revision)
    if subset in names or (subset is None and len(names) < 2):
        return _unreadable(asked.name, error)
    return _no_subset(asked.name, subset, names, "it has")


def _no_subset(name: str, subset: str | None, names: list[str], which: str) -> DataError:
    close = nearest(subset, names) if subset else None
    found = f"no subset {subset!r} in {name}" if subset else f"{name} has several subsets, and none is chosen"
    fix = f"did you mean {close}? set data.subset" if close else f"set data.subset, for instance to {names[0]}"
    return DataError.at("data.subset", f"{found}; {which} {', '.join(names)}", fix)


def _unreadable(name: str, error: BaseException) -> DataError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return DataError.at(name, f"its files cannot be read: {reason}", "choose another subset or another data set")


def _builder_of(copy: Prepared, name: str) -> datasets.DatasetBuilder:
    return Cache(
        repo_id=name if "/" in name else copy.repository,
        dataset_name=copy.repository.rpartition("/")[2],
        config_name=copy.subset,
        version=copy.version,
        hash=copy.commit,
    )


def _is_commit(revision: str | None) -> bool:
    """Whether it is a commit, in full or by its beginning."""
    return revision is not None and re.fullmatch("[0-9a-f]{7,40}", revision) is not None


def _copies(asked: Asked) -> list[Prepared]:
    owner, _, name = asked.name.rpartition("/")
    return find_prepared(Path(datasets.config.HF_DATASETS_CACHE), owner or "*", camelcase_to_snakecase(name))


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
