"""Shapes of answers: what they forbid. That real answers fit them is tested with the routes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from forgeml.serving.shapes.answers import HuggingFaceAnswer, LabelAnswer, Refused, Tensor, WordWeight

ANSWER = {
    "label": "a",
    "score": 0.75,
    "scores": {"a": 0.75, "b": 0.25},
    "truncated": False,
    "empty": False,
    "model_version": "0123456789ab",
}
WORD = {"text": "Good", "start": 0, "end": 4, "weight": 1.31, "in_pair": False, "read": True}


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (LabelAnswer, ANSWER),
        (WordWeight, WORD),
        (HuggingFaceAnswer, {"label": "a", "score": -3.5}),
        (HuggingFaceAnswer, [[{"label": "a", "score": 0.5}], []]),
        (Tensor, {"name": "scores", "shape": [1, 2], "datatype": "FP64", "data": [0.5, 0.5]}),
        (Refused, {"code": "a", "message": "b", "field": None, "request_id": "c"}),
    ],
)
def test_answers_fit(shape: type[BaseModel], value: Any) -> None:
    """Answers as they are promised are allowed."""
    assert shape.model_validate(value)


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (LabelAnswer, {**ANSWER, "model_version": "latest"}),
        (LabelAnswer, {**ANSWER, "score": 1.5}),
        (LabelAnswer, {name: value for name, value in ANSWER.items() if name != "empty"}),
        (LabelAnswer, {**ANSWER, "more": 1}),
        (WordWeight, {**WORD, "start": -1}),
        (WordWeight, {**WORD, "word": "Good"}),
        (Tensor, {"name": "scores", "shape": [1], "datatype": "FP16", "data": [0.5]}),
        (Refused, {"code": "a", "message": "b", "request_id": "c"}),
    ],
)
def test_other_answers_do_not(shape: type[BaseModel], value: Any) -> None:
    """What is not promised does not fit: fields missing or more of them, and numbers out of their range."""
    with pytest.raises(ValidationError):
        shape.model_validate(value)
