"""`forgeml predict`: what a saved model says of some texts."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from forgeml.cli.arguments import Json


def predict(
    model: Annotated[str, typer.Argument(help="Folder of a saved model, such as best_model.")],
    texts: Annotated[list[str], typer.Argument(help="Texts to classify, each in quotes.")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    as_json: Json = False,
) -> None:
    """Classify texts with a saved model.

    \b
    Examples:
      forgeml predict best_model "A warm, funny film." "Two hours too long."
      forgeml predict best_model "A warm, funny film." --json
    """
    from forgeml.cli.console import predictions_table
    from forgeml.inference.classifier import Classifier

    predictions = Classifier.from_pretrained(model, device).predict(texts)
    if not as_json:
        predictions_table(texts, predictions)
        return
    for text, answer in zip(texts, predictions, strict=True):
        line = {"text": text, "label": answer.label, "score": answer.score, "scores": dict(answer.scores)}
        typer.echo(json.dumps(line, ensure_ascii=False))
