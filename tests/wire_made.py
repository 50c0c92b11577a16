"""For the tests of the server's formats: models as they describe themselves, their answers, and any JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from forgeml.inference.classifier import Classifier
from forgeml.model.logits import sigmoid, softmax
from forgeml.records import Prediction, Task
from forgeml.serving.asking import Answers, Asked, Facts
from forgeml.serving.limits import Limits
from forgeml.serving.refusals import Refusal
from forgeml.serving.strict_json import render_json

LIMITS = Limits()
LABELS = ("negative", "neutral", "positive")
VERSION = "0123456789ab"

ALIKE = settings(deadline=None, derandomize=True, database=None, max_examples=200)
"""For tests with made-up values: the same ones each time, however slow the machine is."""

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
HALVES = st.sampled_from(["\ud800", "a\ud8ff", "\udc00b"])
"""Texts with halves of characters, which JSON can write and UTF-8 cannot."""

Parse = Callable[[Any, Facts, Limits], Asked]


def facts(task: Task = "single_label", pairs: bool | None = False) -> Facts:
    """What a model of three classes, or of one number, says of itself."""
    return Facts("tiny", VERSION, task, ("rating",) if task == "regression" else LABELS, pairs)


MODELS = [facts(task, pairs) for task in ("single_label", "multi_label", "regression") for pairs in (None, False, True)]


def any_json(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Whatever JSON can hold, with objects whose fields often have these names."""
    keys = st.sampled_from(names) | st.text(max_size=5)
    inner = SCALARS | HALVES | st.sampled_from(names)
    values = st.recursive(inner, lambda one: st.lists(one) | st.dictionaries(keys, one), max_leaves=12)
    return values | st.dictionaries(keys, values)


def assert_understood_or_refused(parse: Parse, value: Any) -> None:
    """See that a value is either understood, and then can be answered, or refused, whatever the model."""
    for of_model in MODELS:
        asked = _understood(parse, value, of_model)
        if isinstance(asked, Refusal):
            assert 400 <= asked.status < 500
            assert render_json(asked.as_dict("r1"))
            assert len(asked.message) < 500
            continue
        assert 1 <= len(asked.texts) <= LIMITS.texts
        assert of_model.pairs in (None, asked.texts.pairs)
        assert json.loads(render_json(asked.render(made_answers(asked, of_model))))


def _understood(parse: Parse, value: Any, of_model: Facts) -> Asked | Refusal:
    try:
        return parse(value, of_model, LIMITS)
    except Refusal as refusal:
        return refusal


def made_answers(asked: Asked, of_model: Facts, truncated: bool = False) -> Answers:
    """Answers that a model could have given, the same for the same number of texts."""
    logits = np.random.default_rng(0).normal(size=(len(asked.texts), len(of_model.labels))).astype(np.float32)
    return Answers(predictions(logits, of_model), logits, [truncated] * len(asked.texts), of_model)


def predictions(logits: np.ndarray[Any, Any], of_model: Facts) -> list[Prediction]:
    """What logits say, by the rules of the task."""
    if of_model.task == "regression":
        return [Prediction(value=float(row[0])) for row in logits]
    found = []
    for row in (softmax if of_model.task == "single_label" else sigmoid)(logits):
        scores = dict(zip(of_model.labels, row.tolist(), strict=True))
        best = max(scores, key=lambda name: scores[name])
        said = tuple(name for name in sorted(scores, key=lambda name: -scores[name]) if scores[name] >= 0.5)
        single = of_model.task == "single_label"
        found.append(Prediction(best, scores[best], scores) if single else Prediction(scores=scores, labels=said))
    return found


def facts_of(classifier: Classifier) -> Facts:
    """What an opened model says of itself."""
    return Facts("tiny", VERSION, classifier.task, tuple(classifier.labels), classifier.pairs)


def answered(classifier: Classifier, asked: Asked) -> Any:
    """The body that a request gets from an opened model."""
    texts, seconds = list(asked.texts.firsts), asked.texts.seconds
    said = classifier.predict(texts, None if seconds is None else list(seconds))
    logits = classifier.logits(asked.texts)
    return asked.render(Answers(said, logits, [False] * len(texts), facts_of(classifier)))


def refusal_of(parse: Parse, value: Any, of_model: Facts | None = None) -> Refusal:
    """The refusal that a value gets."""
    with pytest.raises(Refusal) as caught:
        parse(value, of_model or facts(), LIMITS)
    return caught.value
