"""The Hugging Face hub: well-known names, repositories at one commit, and its errors in plain words."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    DryRunError,
    GatedRepoError,
    HfHubHTTPError,
    HfUriError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

from forgeml.errors import ForgeError, HubError


@dataclass(frozen=True)
class KnownDataset:
    """Where a well-known data set lies, and where its text and label stand."""

    repository: str
    subset: str | None = None
    text_column: str = "text"
    label_column: str = "label"


# The hub redirects these names, but the caches are keyed by the name asked for, and data sets need owner/name.
MODELS = {
    "albert-base-v2": "albert/albert-base-v2",
    "albert-large-v2": "albert/albert-large-v2",
    "bert-base-cased": "google-bert/bert-base-cased",
    "bert-base-multilingual-cased": "google-bert/bert-base-multilingual-cased",
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "bert-large-uncased": "google-bert/bert-large-uncased",
    "distilbert-base-cased": "distilbert/distilbert-base-cased",
    "distilbert-base-multilingual-cased": "distilbert/distilbert-base-multilingual-cased",
    "distilbert-base-uncased": "distilbert/distilbert-base-uncased",
    "distilroberta-base": "distilbert/distilroberta-base",
    "roberta-base": "FacebookAI/roberta-base",
    "roberta-large": "FacebookAI/roberta-large",
    "xlm-roberta-base": "FacebookAI/xlm-roberta-base",
}

DATASETS = {
    "ag_news": KnownDataset("fancyzhx/ag_news"),
    "amazon_polarity": KnownDataset("fancyzhx/amazon_polarity", text_column="content"),
    "dbpedia_14": KnownDataset("fancyzhx/dbpedia_14", text_column="content"),
    "emotion": KnownDataset("dair-ai/emotion", subset="split"),
    "imdb": KnownDataset("stanfordnlp/imdb"),
    "rotten_tomatoes": KnownDataset("cornell-movie-review-data/rotten_tomatoes"),
    "sms_spam": KnownDataset("ucirvine/sms_spam", text_column="sms"),
    "sst2": KnownDataset("stanfordnlp/sst2", text_column="sentence"),
    "tweet_eval": KnownDataset("cardiffnlp/tweet_eval", subset="sentiment"),
    "yelp_polarity": KnownDataset("fancyzhx/yelp_polarity"),
    "yelp_review_full": KnownDataset("Yelp/yelp_review_full"),
}


def model_repository(name: str) -> str:
    """The owner/name of a model that is known by a short name."""
    return MODELS.get(name, name)


def known_dataset(name: str) -> KnownDataset:
    """What is known of a data set, by its short or its full name."""
    by_repository = {known.repository: known for known in DATASETS.values()}
    return DATASETS.get(name) or by_repository.get(name) or KnownDataset(name)


def fetch_model_files(repository: str, revision: str | None, patterns: Sequence[str]) -> tuple[Path, bool]:
    """Bring the files that match `patterns` to this machine, all from the one commit that `revision` stands for.

    Returns:
        The folder in the cache, named by the commit, and whether anything came over the network.

    Raises:
        HubError: not found, not allowed, or not reached.
    """
    wanted: dict[str, Any] = {
        "revision": revision or constants.DEFAULT_REVISION,
        "allow_patterns": list(patterns),
        "ignore_patterns": ["*/*"],
    }
    with hub_errors("model.name", repository, revision):
        to_fetch = _files_to_fetch(repository, wanted)
        folder = huggingface_hub.snapshot_download(repository, **wanted)
    return Path(folder), to_fetch > 0


def _files_to_fetch(repository: str, wanted: dict[str, Any]) -> int:
    try:
        planned = huggingface_hub.snapshot_download(repository, dry_run=True, **wanted)
    except DryRunError:
        # Offline, or the hub is away: only what is cached can be used.
        return 0
    return sum(file.will_download for file in planned)


def dataset_commit(repository: str) -> str | None:
    """The commit that the data set's main branch stands for now; None when the hub is away, where the cache decides.

    Raises:
        HubError: not found or not allowed.
    """
    with hub_errors("data.dataset", repository):
        try:
            return huggingface_hub.HfApi().dataset_info(repository).sha
        except (OfflineModeIsEnabled, httpx.ConnectError, httpx.TimeoutException):
            return None


@contextmanager
def hub_errors(setting: str, name: str, revision: str | None = None) -> Iterator[None]:
    """Turn what the hub client raises into a HubError that names the setting.

    The order matters: a gated repository is one of the repositories that are "not found" to strangers.
    """
    try:
        yield
    except ForgeError:
        raise
    except GatedRepoError as error:
        raise HubError.at(setting, f"{name} is gated: its owner grants access by request", _access_fix()) from error
    except RepositoryNotFoundError as error:
        raise HubError.at(setting, f"{name} is neither on the hub nor a local file or folder", _access_fix()) from error
    except RevisionNotFoundError as error:
        raise HubError.at(
            setting, f"{name} has no revision {revision!r}", "name a branch, tag or commit that its page lists"
        ) from error
    except (HFValidationError, HfUriError) as error:
        raise HubError.at(
            setting, f"{name!r} is no name that the hub could have", "write owner/name, or the path of a local folder"
        ) from error
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        raise HubError.at(setting, _unreached(name), _unreached_fix()) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        raise HubError.at(setting, f"the hub answered {status} for {name}", "try again in a few minutes") from error
    except (httpx.HTTPError, ConnectionError, TimeoutError) as error:
        raise HubError.at(setting, _unreached(name), _unreached_fix()) from error


def _unreached(name: str) -> str:
    if constants.HF_HUB_OFFLINE:
        return f"{name} is not in the cache ({constants.HF_HUB_CACHE}), and HF_HUB_OFFLINE=1 forbids fetching it"
    return f"the hub at {constants.ENDPOINT} cannot be reached, and {name} is not in the cache"


def _unreached_fix() -> str:
    if constants.HF_HUB_OFFLINE:
        return "run the same command once with HF_HUB_OFFLINE unset while there is a network, or use local files"
    return "check the network and HF_ENDPOINT, or give the path of a local copy"


def _access_fix() -> str:
    token = "set" if os.environ.get("HF_TOKEN") or Path(constants.HF_TOKEN_PATH).exists() else "not set"
    return f"check the spelling; for a private or gated one set HF_TOKEN (it is {token})"
