"""Repositories of the Hugging Face hub, each at one commit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from logging import CRITICAL
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import FileMetadataError, HfHubHTTPError, HfUriError, HFValidationError
from huggingface_hub.utils import disable_progress_bars, enable_progress_bars, logging  # type: ignore[attr-defined]

from forgeml.errors import HubError
from forgeml.hub.blobs import damaged, discard
from forgeml.hub.errors import ANOTHER_NETWORK, Asked, HubAwayError, hub_errors
from forgeml.hub.patience import in_time, patient
from forgeml.hub.wanted import Wanted

# What it has to say of trouble is said in errors and notes, and bars are for terminals.
logging.set_verbosity(CRITICAL)
if not sys.stderr.isatty():
    disable_progress_bars()


@dataclass(frozen=True)
class Found:
    """What the hub says of a repository."""

    name: str
    """owner/name, also when it was asked for by an older name."""
    commit: str


@dataclass(frozen=True)
class Fetched:
    """A repository's files on this machine."""

    folder: Path
    """In the cache, named by the commit."""
    fetched: bool
    """Whether anything came over the network."""
    notes: tuple[str, ...] = ()
    """Sentences on what the user might not expect of where they came from."""
    hub_away: bool = False
    """Whether the hub was asked and gave no usable answer."""


def fetch_model_files(
    repository: str,
    revision: str | None,
    patterns: Sequence[str],
    small: Sequence[str] = (),
    check: Callable[[Path], None] = lambda folder: None,
) -> Fetched:
    """Bring the files that match `patterns` to this machine, all from the one commit that `revision` stands for.

    The hub is not asked where `revision` is a commit of which all these files are in the cache. Where it is a branch or
    tag, and they are there of the commit that it stood for last, the hub is asked once, and for a short time.

    Args:
        repository: owner/name.
        revision: branch, tag or commit.
        patterns: of the names of files; those in folders of the repository are not meant.
        small: those of the patterns whose files come first.
        check: looks at the folder with the small files alone; what it raises saves fetching the others.

    Raises:
        HubError: not found, not allowed, or neither reached nor cached.
        MachineError: the files cannot be written.
    """
    asked = Asked("model", repository, revision)
    wanted = Wanted(asked, tuple(patterns), ignored=("*/*",))
    notes = _without_damaged(wanted)
    cached, missing = wanted.folder(), wanted.missing()
    whole = cached is not None and missing == []
    if cached and whole and asked.pinned:
        return Fetched(cached, False, notes)
    serves = cached is not None and not missing
    try:
        found = look_up(asked, quick=serves)
        if cached and whole and cached.name == found.commit:
            return Fetched(cached, False, notes)
        before = wanted.at(found.commit).present()
        if small:
            first = download(replace(wanted, patterns=tuple(small)))
            check(first)
            # The branch may have moved on in between.
            wanted = wanted.at(first.name)
        folder = download(wanted)
        return Fetched(folder, set(before) != set(wanted.at(folder.name).present()), notes)
    except HubAwayError as away:
        if cached is None or not serves:
            partly = f"only a part of {repository} is in the cache, missing: {', '.join(missing or ())}"
            raise away.without("; ".join([partly if cached else asked.not_cached(), *notes])) from away
        return Fetched(cached, False, (*notes, *away.notes()), hub_away=True)


def download(wanted: Wanted) -> Path:
    """Fetch those of the files that are not in the cache, and see that all are what the hub has announced.

    The library does not compare them. What came with another hash is fetched once more and does not stay.

    Returns:
        The commit's folder in the cache.

    Raises:
        HubAwayError: the hub gave no usable answer.
        HubError: not found or not allowed, or a file came damaged twice.
        MachineError: the cache cannot be written.
    """
    with hub_errors(wanted.asked):
        for _ in range(2):
            with patient():
                folder = Path(huggingface_hub.snapshot_download(**wanted.request))
            commit = wanted.at(folder.name)
            bad = damaged(commit.present(), commit.announced)
            if not bad:
                return folder
            discard(bad)
    what = f"{bad[0].name} of {wanted.asked.name} came twice with another hash than the hub announced"
    raise HubError.at(wanted.asked.setting, what, ANOTHER_NETWORK)


def _without_damaged(wanted: Wanted) -> tuple[str, ...]:
    """Take what is damaged out of the cache, so that it comes anew, with a sentence on it."""
    with hub_errors(wanted.asked):
        bad = damaged(wanted.present())
        discard(bad)
    names = ", ".join(file.name for file in bad)
    told = f"{names} in the cache had another hash than it was stored under, and was taken out"
    return (told,) if bad else ()


def show_downloads() -> None:
    """Draw the client's progress bars again, which another library has switched off; but only on a terminal."""
    if sys.stderr.isatty():
        enable_progress_bars()


def look_up(asked: Asked, *, quick: bool = False) -> Found:
    """Ask the hub for a repository's full name and the commit that its revision stands for now.

    Args:
        asked: the repository.
        quick: ask once and wait for a short time only, as what is cached can serve.

    Raises:
        HubAwayError: the hub gave no usable answer.
        HubError: not found or not allowed.
    """
    with hub_errors(asked):
        return in_time(lambda: _facts(asked), quick=quick)


def _facts(asked: Asked) -> Found:
    with hub_errors(asked):
        try:
            facts = huggingface_hub.HfApi().repo_info(asked.name, repo_type=asked.kind, revision=asked.revision)
        except (HFValidationError, HfUriError, HfHubHTTPError):
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            # Whatever answered, its answer is not the JSON that a hub gives.
            raise FileMetadataError(str(error)) from error
        if not facts.sha:
            raise FileMetadataError("no commit")
    return Found(facts.id, facts.sha)
