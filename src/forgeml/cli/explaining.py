"""`forgeml predict --explain`: which words an answer rests on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from forgeml.inference.classifier import Classifier
    from forgeml.inference.explaining.explanation import Explanation
    from forgeml.records import Prediction


def show_explained(
    classifier: Classifier,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    predictions: Sequence[Prediction],
    as_json: bool,
) -> None:
    """Print each answer with the words that it rests on: as a table and marked text, or as one JSON object a line."""
    from forgeml.cli.console import explanation_screen, predictions_table

    for place, (text, answer) in enumerate(zip(texts, predictions, strict=True)):
        pair = pairs[place] if pairs else None
        # Of a multi-label model that says nothing, the most probable class is explained.
        explained = [classifier.explain(text, pair, label) for label in (answer.labels or (None,))]
        if as_json:
            asked = {"text": text, "text_pair": pair} if pairs else {"text": text}
            found = {"explanations": [one.as_dict() for one in explained]}
            typer.echo(json.dumps(asked | answer.as_dict() | found, ensure_ascii=False))
            continue
        predictions_table([text], None if pair is None else [pair], [answer])
        for one in explained:
            explanation_screen((text,) if pair is None else (text, pair), _topic(one, answer), one.words)


def _topic(explanation: Explanation, answer: Prediction) -> str:
    if answer.value is not None:
        return f"words that raise or lower {explanation.label} ({explanation.score:.4f})"
    return f"words for and against {explanation.label} (log-odds {explanation.score:+.2f})"
