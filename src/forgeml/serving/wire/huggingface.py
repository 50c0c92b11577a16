"""The format of Hugging Face's text classification: requests and answers as its pipeline takes and gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forgeml.model.logits import Logits, sigmoid, softmax
from forgeml.records import ListedTexts
from forgeml.serving.asking import Answers, Asked, Facts
from forgeml.serving.limits import Limits
from forgeml.serving.refusals import Refusal
from forgeml.serving.wire.checking import (
    PAIR,
    TEXT,
    as_list,
    as_object,
    as_one_of,
    as_text,
    as_texts,
    as_whole,
    check_pairs,
    rows_as_texts,
)

INPUTS, PARAMETERS = "inputs", "parameters"
TOP_K, FUNCTION, TRUNCATION = "top_k", "function_to_apply", "truncation"


def _unchanged(logits: Logits) -> NDArray[np.float64]:
    return logits.astype(np.float64)


FUNCTIONS: Mapping[str, Callable[[Logits], NDArray[np.float64]]] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "none": _unchanged,
}
"""From logits to scores, by the names that the pipeline has for them."""
BY_TASK = {"single_label": "softmax", "multi_label": "sigmoid", "regression": "none"}
DEFAULT = "default"


@dataclass(frozen=True)
class _Wishes:
    """What the parameters say of the answer."""

    function: str
    best_only: bool
    """One label a text and no list around it: what the pipeline gives when nothing is said of `top_k`."""
    top_k: int | None
    """Labels a text; None for all."""


def parse(value: object, facts: Facts, limits: Limits) -> Asked:
    """Understand `{"inputs": …, "parameters": {…}}`.

    Inputs are one text, a list of texts, one `{"text": …, "text_pair": …}`, or a list of such objects.

    Args:
        value: what was read from JSON.
        facts: of the model.
        limits: how many texts there may be.

    Raises:
        Refusal: the body is of another shape, or not what the model reads, or has too many texts.
    """
    body = as_object(value, (INPUTS, PARAMETERS), (INPUTS,))
    wishes = _wishes(body.get(PARAMETERS), facts)
    inputs = body[INPUTS]
    texts = check_pairs(_texts(inputs, limits), facts, f"{INPUTS}.{PAIR}")

    def render(answers: Answers) -> Any:  # noqa: ANN401 an object or a list, as the pipeline has it
        scores = FUNCTIONS[wishes.function](answers.logits)
        said = [_one(row, facts, wishes) for row in scores]
        # The pipeline is odd: of one text it makes a list when nothing is said of `top_k`, of one object it does not.
        as_it_is = isinstance(inputs, list) or (isinstance(inputs, str) and wishes.best_only)
        return said if as_it_is else said[0]

    return Asked(texts, render)


def _texts(inputs: object, limits: Limits) -> ListedTexts:
    if isinstance(inputs, str):
        return ListedTexts([as_text(inputs, INPUTS)])
    if isinstance(inputs, dict):
        found = as_object(inputs, (TEXT, PAIR), (TEXT,), INPUTS)
        seconds = [as_text(found[PAIR], f"{INPUTS}.{PAIR}")] if PAIR in found else None
        return ListedTexts([as_text(found[TEXT], f"{INPUTS}.{TEXT}")], seconds)
    if not isinstance(inputs, list):
        message = f"{INPUTS} is to be text, an object with {TEXT}, or a list of these"
        raise Refusal(422, "wrong_kind", message, INPUTS)
    rows = as_list(inputs, INPUTS, limits)
    if isinstance(rows[0], dict):
        objects = [as_object(row, (TEXT, PAIR), (), f"{INPUTS}[{place}]") for place, row in enumerate(rows)]
        return rows_as_texts(objects, INPUTS)
    return ListedTexts(as_texts(rows, INPUTS, limits))


def _wishes(parameters: object, facts: Facts) -> _Wishes:
    given = {} if parameters is None else as_object(parameters, (TOP_K, FUNCTION, TRUNCATION), (), PARAMETERS)
    name = given.get(FUNCTION)
    function = DEFAULT if name is None else as_one_of(name, (*FUNCTIONS, DEFAULT), f"{PARAMETERS}.{FUNCTION}")
    if given.get(TRUNCATION, True) is not True:
        at = f"{PARAMETERS}.{TRUNCATION}"
        raise Refusal(422, "wrong_value", f"{at} can only be true: long texts are always cut", at)
    top_k = None if given.get(TOP_K) is None else as_whole(given[TOP_K], f"{PARAMETERS}.{TOP_K}")
    if top_k is not None and top_k < 1:
        at = f"{PARAMETERS}.{TOP_K}"
        raise Refusal(422, "wrong_value", f"{at} is below 1; leave it out for the best label, or give null for all", at)
    return _Wishes(BY_TASK[facts.task] if function == DEFAULT else function, TOP_K not in given, top_k)


def _one(row: NDArray[np.float64], facts: Facts, wishes: _Wishes) -> Any:  # noqa: ANN401 an object or a list of them
    best_first = np.argsort(-row, kind="stable")
    said = [{"label": facts.labels[place], "score": float(row[place])} for place in best_first[: wishes.top_k]]
    return said[0] if wishes.best_only else said
