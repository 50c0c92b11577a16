"""Repositories of the Hugging Face hub, each at one commit."""

from __future__ import annotations

import hashlib
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    FileMetadataError,
    HfHubHTTPError,
    HfUriError,
    HFValidationError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
)
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    enable_progress_bars,
    hf_raise_for_status,
    parse_ratelimit_headers,
)

from forgeml.errors import HubError
from forgeml.hub.errors import PASSING, Asked, HubAwayError, hub_errors, status_of

Result = TypeVar("Result")

SECONDS_TO_ANSWER = 10.0
"""How long the first question may take, which decides whether the hub is there."""
PAUSES = (1.0, 2.0)
"""Seconds to wait before each further try, where the hub says that it is busy or broken for the moment."""
PATIENCE = 20.0
"""Seconds after which nothing is tried again: the client has its own, longer pauses for some of the requests."""


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
    note: str = ""
    """Why the copy in the cache serves though the hub was asked; empty when it answered or must not be asked."""


def fetch_model_files(
    repository: str,
    revision: str | None,
    patterns: Sequence[str],
    small: Sequence[str] = (),
    check: Callable[[Path], None] = lambda folder: None,
) -> Fetched:
    """Bring the files that match `patterns` to this machine, all from the one commit that `revision` stands for.

    The hub is not asked where `revision` is a commit of which all these files are in the cache.

    Args:
        repository: owner/name.
        revision: branch, tag or commit.
        patterns: of the names of files.
        small: those of the patterns whose files come first.
        check: looks at the folder with the small files alone; what it raises saves fetching the others.

    Raises:
        HubError: not found, not allowed, or neither reached nor cached.
        MachineError: the files cannot be written.
    """
    asked = Asked("model", repository, revision)
    wanted: dict[str, Any] = {
        "revision": revision or constants.DEFAULT_REVISION,
        "allow_patterns": list(patterns),
        "ignore_patterns": ["*/*"],
    }
    if asked.pinned and (folder := _whole_copy(asked, wanted)):
        return Fetched(folder, fetched=False)
    try:
        found = look_up(asked)
        with hub_errors(asked):
            before = _cached_files({**wanted, "repo_id": repository, "revision": found.commit})
            if small:
                first = _download(asked, {**wanted, "allow_patterns": list(small)}, before)
                check(first)
                # The branch may have moved on in between.
                wanted["revision"] = first.name
            folder = _download(asked, wanted, before)
        return Fetched(folder, before != set(folder.iterdir()))
    except HubAwayError as away:
        return Fetched(_cached_model(asked, wanted, away), fetched=False, note=away.note())


def _whole_copy(asked: Asked, wanted: dict[str, Any]) -> Path | None:
    """The folder of a commit, if all that it has of what is wanted is known to be in the cache."""
    try:
        # Without the list of files the client could not tell a part from the whole.
        huggingface_hub.get_cached_repo_tree(asked.name, revision=asked.revision)
        return Path(huggingface_hub.snapshot_download(asked.name, local_files_only=True, **wanted))
    except (LocalEntryNotFoundError, HFValidationError, HfUriError):
        return None


def _cached_files(wanted: dict[str, Any]) -> set[Path]:
    try:
        return set(Path(huggingface_hub.snapshot_download(local_files_only=True, **wanted)).iterdir())
    except LocalEntryNotFoundError:
        return set()


def _download(asked: Asked, wanted: dict[str, Any], before: set[Path]) -> Path:
    """Fetch what is absent; the client does not compare it with what the hub announced, so that is done here."""
    for _ in range(2):
        folder = Path(patiently(lambda: huggingface_hub.snapshot_download(asked.name, **wanted)))
        damaged = [file for file in set(folder.iterdir()) - before if not _is_as_announced(file)]
        if not damaged:
            return folder
        for file in damaged:
            file.resolve().unlink()
            file.unlink()
    what = f"{damaged[0].name} of {asked.name} came twice with another SHA-256 than the hub announced"
    raise HubError.at(asked.setting, what, "try another network, or a proxy that passes files on as they are")


def _is_as_announced(file: Path) -> bool:
    """Whether a large file has the SHA-256 that it is stored under; small ones are stored under other hashes."""
    stored = file.resolve()
    if not re.fullmatch("[0-9a-f]{64}", stored.name):
        return True
    with stored.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == stored.name


def _cached_model(asked: Asked, wanted: dict[str, Any], away: HubAwayError) -> Path:
    try:
        return Path(huggingface_hub.snapshot_download(asked.name, local_files_only=True, **wanted))
    except IncompleteSnapshotError as error:
        raise away.without(f"only a part of {asked.name} is in the cache ({error.snapshot_path})") from error
    except LocalEntryNotFoundError:
        raise away.without(asked.not_cached()) from away


def show_downloads() -> None:
    """Draw the client's progress bars again, which another library has switched off; but only on a terminal."""
    if sys.stderr.isatty():
        enable_progress_bars()


def look_up(asked: Asked) -> Found:
    """Ask the hub for a repository's full name and the commit that its revision stands for now.

    Raises:
        HubAwayError: the hub gave no usable answer.
        HubError: not found or not allowed.
    """
    ask: dict[str, Any] = {"repo_type": asked.kind, "revision": asked.revision, "timeout": SECONDS_TO_ANSWER}
    with hub_errors(asked):
        try:
            facts = patiently(lambda: huggingface_hub.HfApi().repo_info(asked.name, **ask))
        except (HFValidationError, HfUriError, HfHubHTTPError):
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            # Whatever answered, its answer is not the JSON that a hub gives.
            raise FileMetadataError(str(error)) from error
        if not facts.sha:
            raise FileMetadataError("no commit")
    return Found(facts.id, facts.sha)


def patiently(call: Callable[[], Result]) -> Result:
    """Call, and call again after a pause while the hub answers with a status that may pass.

    Raises:
        OSError: what the last call raised.
    """
    started = time.monotonic()
    with _bounded_waits():
        for pause in PAUSES:
            try:
                return call()
            except OSError as error:
                if status_of(error) not in PASSING or time.monotonic() - started > PATIENCE:
                    raise
            time.sleep(pause)
        return call()


@contextmanager
def _bounded_waits() -> Iterator[None]:
    """Keep the client from sleeping for as long as the hub asks for, which may be a day, again and again."""
    waits = 0.0

    def count(response: Any) -> None:  # noqa: ANN401 of the client's own HTTP library
        nonlocal waits
        waits += _wait_asked_for(response) if response.status_code in PASSING else 0.0
        if waits > PATIENCE:
            # An error of this kind is not one of those after which the client tries again.
            response.read()
            hf_raise_for_status(response)

    session = huggingface_hub.get_session()
    before = session.event_hooks
    session.event_hooks = {**before, "response": [*before["response"], count]}
    try:
        yield
    finally:
        session.event_hooks = before


def _wait_asked_for(response: Any) -> float:  # noqa: ANN401
    """Seconds that the answer asks to wait, by either of the headers that the client obeys."""
    limit = parse_ratelimit_headers(response.headers) if response.status_code == 429 else None
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    wait = response.headers.get("Retry-After", "").strip()
    return float(wait) if wait.isdigit() else 0.0
