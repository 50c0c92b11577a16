"""Shapes of MLflow's payloads: what JSON schema says of them. That the parser agrees is tested with the routes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from forgeml.serving.shapes.mlflow import MlflowPairs, MlflowTexts
from forgeml.serving.wire.mlflow import FORMS


@pytest.mark.parametrize("shape", [MlflowTexts, MlflowPairs])
def test_every_form_has_a_shape(shape: Any) -> None:
    """The payloads that are understood are those that are described, one shape each."""
    described = [set(one["required"]) for one in shape.model_json_schema()["$defs"].values() if "required" in one]
    assert all({form} in described for form in FORMS)


@pytest.mark.parametrize(
    "payload",
    [
        {"instances": ["a"]},
        {"inputs": {"text": "a", "id": 7}},
        {"dataframe_records": [{"text": "a", "id": 7}], "params": None},
        {"dataframe_split": {"columns": ["text"], "data": [["a"]]}},
    ],
)
def test_payloads_fit(payload: Any) -> None:
    """Other columns may be there, and settings."""
    assert MlflowTexts.model_validate(payload)


@pytest.mark.parametrize(
    "payload", [{"instances": []}, {"instances": ["a"], "inputs": ["a"]}, {"inputs": [1]}, {"params": {}}]
)
def test_other_payloads_do_not(payload: Any) -> None:
    """Exactly one form holds one text or more."""
    with pytest.raises(ValidationError):
        MlflowTexts.model_validate(payload)
