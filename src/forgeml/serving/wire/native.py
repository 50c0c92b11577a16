"""ForgeML's own format: `/predict` for one text, `/predict/batch` for several."""

from __future__ import annotations

from typing import Any

from forgeml.records import ListedTexts
from forgeml.serving.asking import Answers, Asked, Facts
from forgeml.serving.limits import Limits
from forgeml.serving.wire.checking import PAIR, TEXT, as_object, as_one_of, as_text, as_texts, check_pairs, is_empty

TEXTS, PAIRS = "texts", "text_pairs"
LABEL = "label"


def parse_one(value: object, facts: Facts, limits: Limits) -> Asked:
    """Understand `{"text": …, "text_pair": …}`, the second for pairs alone.

    Args:
        value: what was read from JSON.
        facts: of the model.
        limits: not used; all formats are called alike.

    Raises:
        Refusal: the body is of another shape, or not what the model reads.
    """
    body = as_object(value, (TEXT, PAIR), (TEXT,))
    seconds = [as_text(body[PAIR], PAIR)] if PAIR in body else None
    texts = check_pairs(ListedTexts([as_text(body[TEXT], TEXT)], seconds), facts, PAIR)
    return Asked(texts, lambda answers: {**_record(answers, texts, 0), "model_version": answers.facts.version})


def parse_many(value: object, facts: Facts, limits: Limits) -> Asked:
    """Understand `{"texts": […], "text_pairs": […]}`, the second for pairs alone.

    Args:
        value: what was read from JSON.
        facts: of the model.
        limits: how many texts there may be.

    Raises:
        Refusal: the body is of another shape, or not what the model reads, or has too many texts.
    """
    body = as_object(value, (TEXTS, PAIRS), (TEXTS,))
    firsts = as_texts(body[TEXTS], TEXTS, limits)
    seconds = as_texts(body[PAIRS], PAIRS, limits) if PAIRS in body else None
    texts = check_pairs(ListedTexts(firsts, seconds), facts, PAIRS)

    def render(answers: Answers) -> dict[str, Any]:
        records = [_record(answers, texts, place) for place in range(len(texts))]
        return {"predictions": records, "model_version": answers.facts.version}

    return Asked(texts, render)


def _record(answers: Answers, texts: ListedTexts, place: int) -> dict[str, Any]:
    said = answers.predictions[place].as_dict()
    return {**said, "truncated": bool(answers.truncated[place]), "empty": is_empty(texts, place)}


def parse_explain(value: Any, facts: Facts) -> tuple[str, str | None, str | None]:  # noqa: ANN401 what was read from JSON
    """Understand `{"text": …, "text_pair": …, "label": …}`, the second for pairs alone, the third if one is asked for.

    Returns:
        The three, with None for what is not there.

    Raises:
        Refusal: the body is of another shape, or not what the model reads.
    """
    body = as_object(value, (TEXT, PAIR, LABEL), (TEXT,))
    pair = as_text(body[PAIR], PAIR) if PAIR in body else None
    label = as_one_of(body[LABEL], facts.labels, LABEL) if LABEL in body else None
    text = as_text(body[TEXT], TEXT)
    check_pairs(ListedTexts([text], None if pair is None else [pair]), facts, PAIR)
    return text, pair, label
