"""Where the caches and the tracking store lie."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlparse

from forgeml.hub.errors import Asked


def cache_places() -> dict[str, Path]:
    """The hub's caches, by the variables that move them."""
    return {
        "HF_HUB_CACHE": Path(Asked("model", "any").cache),
        "HF_DATASETS_CACHE": Path(Asked("dataset", "any").cache),
    }


def sqlite_file(tracking_uri: str) -> Path | None:
    """The file of a store that is one, or a folder that holds one; None for all others."""
    parsed = urlparse(tracking_uri)
    if parsed.scheme in ("", "file"):
        folder = unquote(parsed.netloc + parsed.path) if parsed.scheme else os.path.expanduser(tracking_uri)
        return Path(folder, "mlflow.db")
    path = tracking_uri.removeprefix("sqlite:///").partition("?")[0]
    return None if path in (tracking_uri, "", ":memory:") or path.startswith("file:") else Path(path)
