"""Shapes of requests: what JSON schema says of them. That the parsers agree is tested with the routes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import BaseModel

from forgeml.serving.shapes.questions import (
    MOST,
    HuggingFaceParameters,
    InferPairs,
    OneText,
    SeveralPairs,
    SeveralTexts,
)
from wire_made import LIMITS


def test_default_limit_is_that_of_the_server() -> None:
    """The lists are as long as the server takes them unless it is told otherwise."""
    schema = SeveralTexts.model_json_schema()["properties"]["texts"]
    assert (schema["minItems"], schema["maxItems"]) == (1, MOST)
    assert replace(LIMITS).texts == MOST
    assert "unless" in schema["description"]


def test_fields_that_may_be_left_out_are_not_null() -> None:
    """Leaving a field out and giving null are two things; null stands only where it means something."""
    schema = HuggingFaceParameters.model_json_schema()["properties"]
    assert schema["truncation"]["type"] == "boolean"
    assert {"type": "null"} in schema["top_k"]["anyOf"]
    assert not any("default" in field for field in schema.values())


@pytest.mark.parametrize("shape", [OneText, SeveralTexts, SeveralPairs, HuggingFaceParameters, InferPairs])
def test_no_other_fields_are_allowed(shape: type[BaseModel]) -> None:
    """What would be refused as unknown does not fit the shape."""
    assert shape.model_json_schema()["additionalProperties"] is False


def test_pairs_are_exactly_two_tensors() -> None:
    """The tensors of pairs are told apart by their names."""
    inputs = InferPairs.model_json_schema()["properties"]["inputs"]
    assert (inputs["minItems"], inputs["maxItems"]) == (2, 2)
