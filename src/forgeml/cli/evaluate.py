"""`forgeml evaluate`: how well a saved model does on labelled texts."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from forgeml.cli.arguments import Device, EngineName, Json, split_names


def evaluate(
    model: Annotated[str, typer.Argument(help="Folder of a saved model, such as best_model.")],
    data: Annotated[str, typer.Argument(help="Labelled texts: a file, a folder with test.csv, or a hub data set.")],
    split: Annotated[
        str | None, typer.Option(help="Split or slice; left out: test, or the only split that there is.")
    ] = None,
    subset: Annotated[str | None, typer.Option(help="Configuration of a hub data set that has several.")] = None,
    text_column: Annotated[
        list[str] | None,
        typer.Option(help="Column with the text, once or several times; left out: as in training."),
    ] = None,
    label_column: Annotated[str | None, typer.Option(help="Column with the label; left out: as in training.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[--data.KEY VALUE]", help="How to read the data, such as --data.encoding cp1252."),
    ] = None,
    device: Device = "auto",
    engine: EngineName = "auto",
    as_json: Json = False,
) -> None:
    """Score a saved model on labelled texts.

    \b
    Examples:
      forgeml evaluate best_model test.csv
      forgeml evaluate best_model imdb --split "test[:1000]" --json
      forgeml evaluate best_model test.txt.csv --data.delimiter ";" --data.encoding cp1252
    """
    from forgeml.cli.console import Watcher, metrics_table
    from forgeml.config.loading import parse_overrides
    from forgeml.events import Note, Progress
    from forgeml.inference.classifier import Classifier
    from forgeml.inference.labelled import how_to_read, read_labelled
    from forgeml.inference.report import evaluate as score

    # The parser takes settings that come first for the model and the data.
    [model, data], rest = split_names([model, data, *(settings or ())], ["MODEL", "DATA"])
    given = {"dataset": data, "subset": subset, "text_column": text_column, "label_column": label_column}
    overrides = parse_overrides(rest)
    classifier = Classifier.from_pretrained(model, device, engine)
    with Watcher() as tell:
        if classifier.note:
            tell(Note("engine", classifier.note, warning=True))
        part = read_labelled(classifier, how_to_read(classifier, given, overrides), split, tell)
        evaluation = score(classifier, part, lambda done: tell(Progress(f"score {part.name}", done, len(part))))
    if as_json:
        answer = {"split": evaluation.split, "examples": evaluation.examples, "metrics": dict(evaluation.metrics)}
        typer.echo(json.dumps(answer))
    else:
        metrics_table({f"{evaluation.split} ({evaluation.examples:,} texts)": evaluation.metrics})
