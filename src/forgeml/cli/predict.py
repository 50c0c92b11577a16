"""`forgeml predict`: what a saved model says of some texts."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from forgeml.cli.arguments import Device, Json
from forgeml.errors import ConfigError


def predict(
    model: Annotated[str, typer.Argument(help="Folder of a saved model, such as best_model.")],
    texts: Annotated[list[str], typer.Argument(help="Texts to classify, each in quotes.")],
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Classify texts with a saved model.

    \b
    Examples:
      forgeml predict best_model "A warm, funny film." "Two hours too long."
      forgeml predict best_model "A warm, funny film." --json
    """
    _check_texts(texts)
    # The slow imports come after the check: a mistake is told in an instant.
    from forgeml.cli.console import predictions_table
    from forgeml.inference.classifier import Classifier

    predictions = Classifier.from_pretrained(model, device).predict(texts)
    if not as_json:
        predictions_table(texts, predictions)
        return
    for text, answer in zip(texts, predictions, strict=True):
        line = {"text": text, "label": answer.label, "score": answer.score, "scores": dict(answer.scores)}
        typer.echo(json.dumps(line, ensure_ascii=False))


def _check_texts(texts: list[str]) -> None:
    """Refuse what the shell passed as bytes that are no text."""
    for number, text in enumerate(texts, start=1):
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ConfigError.at(f"text {number}", "is not UTF-8", "convert it, for instance with iconv -t UTF-8")
