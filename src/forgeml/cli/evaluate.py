"""`forgeml evaluate`: how well a saved model does on labelled texts."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from forgeml.cli.arguments import Device, Json


def evaluate(
    model: Annotated[str, typer.Argument(help="Folder of a saved model, such as best_model.")],
    data: Annotated[str, typer.Argument(help="Labelled texts: a file, a folder with test.csv, or a hub data set.")],
    split: Annotated[
        str | None, typer.Option(help="Split or slice; left out: test if there is one, else all rows.")
    ] = None,
    subset: Annotated[str | None, typer.Option(help="Configuration of a hub data set that has several.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column with the text; left out: as in training.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column with the label; left out: as in training.")] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Score a saved model on labelled texts.

    \b
    Examples:
      forgeml evaluate best_model test.csv
      forgeml evaluate best_model imdb --split "test[:1000]" --json
    """
    from forgeml.cli.console import Watcher, metrics_table
    from forgeml.data.source import read_source
    from forgeml.data.splits import labelled_split
    from forgeml.inference.classifier import Classifier
    from forgeml.inference.report import evaluate as score
    from forgeml.records import Progress

    classifier = Classifier.from_pretrained(model, device)
    trained_on = classifier.manifest.get("data", {})
    columns = (text_column or trained_on.get("text_column"), label_column or trained_on.get("label_column"))
    part = labelled_split(read_source(data, subset), split, columns, classifier.labels)
    with Watcher() as tell:
        evaluation = score(classifier, part, lambda done: tell(Progress(f"score {part.name}", done, len(part))))
    if as_json:
        answer = {"split": evaluation.split, "examples": evaluation.examples, "metrics": dict(evaluation.metrics)}
        typer.echo(json.dumps(answer))
    else:
        metrics_table({f"{evaluation.split} ({evaluation.examples:,} texts)": evaluation.metrics})
