"""Where caches and stores lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forgeml.doctor.places import cache_places, sqlite_file
from forgeml.training.tracking.store import store_uri


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("sqlite:///mlflow.db", "mlflow.db"),
        ("sqlite:////data/a b/mlflow.db?timeout=3", "/data/a b/mlflow.db"),
        ("runs", "runs/mlflow.db"),
        ("file:///data/a%20b", "/data/a b/mlflow.db"),
        ("http://localhost:5000", None),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("postgresql://host/db", None),
    ],
)
def test_stores_that_are_files(uri: str, file: str | None) -> None:
    """The file is the one that a run opens."""
    found = sqlite_file(uri)
    assert found == (None if file is None else Path(file))
    if file and "?" not in uri:
        assert store_uri(uri) == f"sqlite:///{file}"


def test_folder_in_the_home() -> None:
    """A wave is the home folder."""
    assert sqlite_file("~/runs") == Path(os.environ["HOME"], "runs", "mlflow.db")


def test_caches_are_called_by_their_variables() -> None:
    """Both lie below the home folder unless they are moved."""
    places = cache_places()
    assert list(places) == ["HF_HUB_CACHE", "HF_DATASETS_CACHE"]
    assert all(str(folder).startswith(os.environ["HOME"]) for folder in places.values())
