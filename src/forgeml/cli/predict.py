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
    pairs: Annotated[
        list[str] | None,
        typer.Option("--pair", help="Second text, for a model of pairs; once for each text, in the same order."),
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Classify texts with a saved model.

    \b
    Examples:
      forgeml predict best_model "A warm, funny film." "Two hours too long."
      forgeml predict best_model "A warm, funny film." --json
      forgeml predict best_model "A plane takes off." --pair "An air plane is taking off."
    """
    _check_texts([*texts, *(pairs or ())])
    if pairs and len(pairs) != len(texts):
        what = f"{len(texts)} texts and {len(pairs)} second texts"
        raise ConfigError.at("--pair", what, "give one --pair for each text, in the same order")
    # The slow imports come after the check: a mistake is told in an instant.
    from forgeml.cli.console import predictions_table
    from forgeml.inference.classifier import Classifier

    classifier = Classifier.from_pretrained(model, device)
    _check_pairs(classifier.pairs, pairs)
    predictions = classifier.predict(texts, pairs)
    if not as_json:
        predictions_table(texts, pairs, predictions)
        return
    for place, (text, answer) in enumerate(zip(texts, predictions, strict=True)):
        asked = {"text": text, "text_pair": pairs[place]} if pairs else {"text": text}
        typer.echo(json.dumps(asked | answer.as_dict(), ensure_ascii=False))


def _check_pairs(trained_on_pairs: bool | None, pairs: list[str] | None) -> None:
    """Refuse one text where the model was trained on pairs, and pairs where it was not: the answer would mislead."""
    if trained_on_pairs not in (None, bool(pairs)):
        kind, fix = ("pairs of", "give a --pair for each text") if trained_on_pairs else ("single", "leave --pair out")
        raise ConfigError.at("--pair", f"this model was trained on {kind} texts", fix)


def _check_texts(texts: list[str]) -> None:
    """Refuse what the shell passed as bytes that are no text."""
    for number, text in enumerate(texts, start=1):
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ConfigError.at(f"text {number}", "is not UTF-8", "convert it, for instance with iconv -t UTF-8")
