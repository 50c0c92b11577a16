"""What goes wrong between here and the Hugging Face hub, in plain words."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HfUriError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    XetDownloadError,
)
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

from forgeml.config.opening import hide_secrets
from forgeml.errors import ForgeError, HubError, MachineError, nearest
from forgeml.hub.names import DATASETS, MODELS, name_in_address
from forgeml.hub.patience import PASSING, patient

ANOTHER_NETWORK = "try another network, or a proxy that passes files on as they are"


@dataclass(frozen=True)
class Asked:
    """A repository as it was asked for."""

    kind: Literal["model", "dataset"]
    name: str
    revision: str | None = None

    @property
    def section(self) -> str:
        """The part of the configuration that it is asked for in."""
        return "model" if self.kind == "model" else "data"

    @property
    def setting(self) -> str:
        """The setting that holds the name."""
        return "model.name" if self.kind == "model" else "data.dataset"

    @property
    def pinned(self) -> bool:
        """Whether the revision is a whole commit, of which nothing can change."""
        return self.revision is not None and re.fullmatch("[0-9a-f]{40}", self.revision) is not None

    @property
    def cache(self) -> str:
        """Where what is fetched is kept."""
        if self.kind == "model":
            return constants.HF_HUB_CACHE
        return os.environ.get("HF_DATASETS_CACHE") or os.path.join(constants.HF_HOME, "datasets")

    def not_cached(self) -> str:
        """The sentence for when nothing of it is there."""
        return f"{self.name} is not in the cache ({self.cache})"


class HubAwayError(HubError):
    """The hub gave no usable answer, so that what is cached may serve instead."""

    def notes(self) -> tuple[str, ...]:
        """The sentence for when the cache serves; none where the user wanted it so."""
        return () if constants.HF_HUB_OFFLINE else (f"{self.problems[0].what}; the copy in the cache serves",)

    def without(self, lack: str) -> HubError:
        """The error to end with, as the cache has this lack."""
        problem = self.problems[0]
        return HubError.at(problem.where, f"{problem.what}, and {lack}", problem.fix)


@contextmanager
def hub_errors(asked: Asked) -> Iterator[None]:
    """Turn what the hub client raises into an error that names the setting.

    Raises:
        HubAwayError: the hub gave no usable answer.
        HubError: not found or not allowed.
        MachineError: the cache cannot be written, or has no place.
    """
    if asked.cache.startswith("~"):
        what = f"there is no home folder, so the cache would be a folder called ~ in this one ({asked.cache})"
        raise MachineError.at("HOME", what, "set HF_HOME to a folder that can be written, or HOME")
    try:
        yield
    except (OSError, httpx.HTTPError, httpx.InvalidURL, HFValidationError, HfUriError, XetDownloadError) as error:
        raise _in_words(asked, _reason(error)) from error


@contextmanager
def or_folder(name: str, lack: Callable[[], tuple[str, str]]) -> Iterator[None]:
    """Let the hub's refusal also say why a folder of that name here does not serve.

    Args:
        name: as the setting has it.
        lack: gives what is missing in the folder, and what to do about that.

    Raises:
        HubError: the hub did not deliver.
    """
    try:
        yield
    except HubError as error:
        if not os.path.isdir(name):
            raise
        problem, (missing, fix) = error.problems[0], lack()
        what = f"{problem.what}; the folder {name} here has {missing}"
        raise HubError.at(problem.where, what, f"{fix}; or {problem.fix}") from error


def _reason(error: BaseException) -> BaseException:
    """The error behind those that only say that a file is not there."""
    while isinstance(error, (FileNotFoundError, ConnectionError)):
        behind = error.__cause__ or error.__context__
        if behind is None:
            break
        error = behind
    return error


def status_of(error: OSError) -> int | None:
    """The status that the hub answered with; None when the error is of another kind."""
    reason = _reason(error)
    return int(reason.response.status_code) if isinstance(reason, HfHubHTTPError) else None


def _in_words(asked: Asked, error: BaseException) -> ForgeError:
    # The order matters: a gated repository is one of those that are "not found" to strangers, and that is a status.
    name, setting = asked.name, asked.setting
    match error:
        case GatedRepoError():
            return HubError.at(
                setting, f"{name} is gated: its owner grants access on request", _token_fix("ask for it on its page")
            )
        case RepositoryNotFoundError():
            where = "not on the hub" if os.path.isdir(name) else "neither on the hub nor a local file or folder"
            return HubError.at(setting, f"{name} is {where}", _name_fix(asked))
        case RevisionNotFoundError():
            return HubError.at(
                f"{asked.section}.revision", f"{name} has no revision {asked.revision!r}", _revision_fix(asked)
            )
        case HFValidationError() | HfUriError():
            fix = f"write {name_in_address(name) or 'owner/name, or the path of a local file or folder'}"
            return HubError.at(setting, f"{name!r} is no name that the hub could have", fix)
        case FileMetadataError():
            what = f"what answers at {_endpoint()} is not a model hub"
            return HubAwayError.at(setting, what, "check HF_ENDPOINT; a network may also ask for a login in a browser")
        case HfHubHTTPError():
            return _refused(asked, error)
        case httpx.HTTPError() | httpx.InvalidURL() | XetDownloadError():
            return HubAwayError.at(setting, *_unreached(error))
        case ConnectionError() | TimeoutError() | FileNotFoundError():
            return HubAwayError.at(setting, *_unreached(error))
        case OSError() if error.errno is None:
            # No system call has failed: the library found another length than was announced.
            what = f"a file of {name} came with another length than the hub at {_endpoint()} had announced"
            return HubAwayError.at(setting, what, ANOTHER_NETWORK)
        case _:
            what = f"{name} cannot be stored in the cache ({asked.cache}): {error}"
            return MachineError.at(setting, what, "check the space and the rights there, or set HF_HOME")


def _refused(asked: Asked, error: HfHubHTTPError) -> HubError:
    status = status_of(error)
    what = f"the hub at {_endpoint()} answered {status} for {asked.name}"
    if status == 401:
        return HubError.at(
            asked.setting, f"{what}: it does not accept the token", "set HF_TOKEN to a valid one, or unset it"
        )
    if status == 403:
        return HubError.at(asked.setting, f"{what}: it does not allow it", _token_fix())
    if status not in PASSING:
        return HubError.at(asked.setting, what, "see whether its page shows all its files, or choose another one")
    wait = error.response.headers.get("Retry-After", "")
    when = f"in {wait} seconds" if wait.isdigit() else "in a few minutes"
    return HubAwayError.at(asked.setting, what, f"try again {when}")


def _unreached(error: BaseException) -> tuple[str, str]:
    if constants.HF_HUB_OFFLINE:
        fix = "run the same command once with HF_HUB_OFFLINE=0 while there is a network, or use local files"
        return "HF_HUB_OFFLINE=1 forbids asking the hub", fix
    fix = "check the network and HF_ENDPOINT, or give the path of a local copy"
    return f"the hub at {_endpoint()} cannot be reached ({hide_secrets(str(error))})", fix


def _endpoint() -> str:
    """The hub's address, which may hold a password."""
    return hide_secrets(constants.ENDPOINT)


def _name_fix(asked: Asked) -> str:
    close = nearest(asked.name, MODELS if asked.kind == "model" else DATASETS)
    if close and close != asked.name:
        return f"did you mean {close}? {_token_fix()}"
    owner = "" if "/" in asked.name else "write owner/name as on its page; "
    return f"check the spelling; {owner}{_token_fix()}"


def _token_fix(first: str = "if it is private or gated") -> str:
    token = "set" if os.environ.get("HF_TOKEN") or Path(constants.HF_TOKEN_PATH).exists() else "not set"
    return f"{first}, set HF_TOKEN to a token that has access (it is {token})"


def _revision_fix(asked: Asked) -> str:
    try:
        with patient(quick=True):
            refs = huggingface_hub.HfApi().list_repo_refs(asked.name, repo_type=asked.kind)
    except (OSError, httpx.HTTPError, ValueError, KeyError):
        return "name a branch, tag or commit that its page lists"
    names = [ref.name for ref in (*refs.branches, *refs.tags)]
    close = nearest(asked.revision or "", names)
    return f"did you mean {close}? it has {', '.join(names)}" if close else f"name one that it has: {', '.join(names)}"
