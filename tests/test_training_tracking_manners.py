"""MLflow in this process: what it is told, and that nothing of it stays."""

from __future__ import annotations

import os
import random

import pytest

from forgeml.training.tracking.manners import drawn_name, manners, patience


def test_environment_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the caller hold, and ours go away afterwards, and so does an address that MLflow left."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "33")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    before = dict(os.environ)
    with manners():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "33"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
        os.environ["MLFLOW_TRACKING_URI"] = "elsewhere"
    assert dict(os.environ) == before


def test_large_files_have_time() -> None:
    """While the model is sent, an answer may take minutes; before and after, seconds."""
    with manners(7):
        with patience():
            assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "900"
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"


def test_names_differ_under_one_seed_and_the_training_draws_as_before() -> None:
    """Two runs after the same seed have different names, and the numbers drawn afterwards do not depend on them."""
    names, drawn = set(), set()
    for _ in range(2):
        random.seed(42)
        names.add(drawn_name())
        drawn.add(random.random())
    random.seed(42)
    assert drawn == {random.random()}
    assert len(names) == 2
