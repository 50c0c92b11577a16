"""`forgeml evaluate`: how well a saved model does on labelled texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forgeml.cli.arguments import Device, Json, split_names
from forgeml.errors import ConfigError, Problem, counted

if TYPE_CHECKING:
    from forgeml.config.schema import DataConfig
    from forgeml.events import Event
    from forgeml.inference.classifier import Classifier
    from forgeml.records import Split

AS_IN_TRAINING = ("text_column", "text_pair_column", "label_column", "label_separator")
"""Settings that are taken from the saved model unless they are given."""
HOW_TO_READ = (*AS_IN_TRAINING, "revision", "delimiter", "encoding", "field", "on_bad_rows")
"""Settings that have a meaning for data that are only scored."""


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
    from forgeml.events import Progress
    from forgeml.inference.classifier import Classifier
    from forgeml.inference.report import evaluate as score

    # The parser takes settings that come first for the model and the data.
    [model, data], rest = split_names([model, data, *(settings or ())], ["MODEL", "DATA"])
    given = {"dataset": data, "subset": subset, "text_column": text_column, "label_column": label_column}
    overrides = parse_overrides(rest)
    classifier = Classifier.from_pretrained(model, device)
    config = _how_to_read(classifier.manifest, {"task": classifier.task, **given}, overrides)
    with Watcher() as tell:
        part = _read(classifier, config, split, tell)
        evaluation = score(classifier, part, lambda done: tell(Progress(f"score {part.name}", done, len(part))))
    if as_json:
        answer = {"split": evaluation.split, "examples": evaluation.examples, "metrics": dict(evaluation.metrics)}
        typer.echo(json.dumps(answer))
    else:
        metrics_table({f"{evaluation.split} ({evaluation.examples:,} texts)": evaluation.metrics})


def _how_to_read(
    manifest: Mapping[str, Any], given: Mapping[str, Any], overrides: Sequence[tuple[str, str]]
) -> DataConfig:
    """The columns as in training unless others are given; settings win over both."""
    from forgeml.config.loading import data_section

    foreign = [name for name, _ in overrides if name.removeprefix("data.") not in HOW_TO_READ]
    if foreign:
        fix = f"these have one: {', '.join(f'--data.{name}' for name in HOW_TO_READ)}"
        raise ConfigError([Problem(f"--{name}", "has no meaning here", fix) for name in foreign])
    columns = {name: manifest.get("data", {}).get(name) for name in AS_IN_TRAINING}
    return data_section(columns | {name: value for name, value in given.items() if value}, overrides)


def _read(classifier: Classifier, config: DataConfig, split: str | None, tell: Callable[[Event], None]) -> Split:
    """The part that is to be scored, once what is odd about it has been told."""
    from forgeml.data.source import read_source
    from forgeml.data.splits import labelled_split
    from forgeml.events import Note, Progress

    source = read_source(config, lambda work, done, total: tell(Progress(work, done, total)))
    rare = classifier.manifest.get("data", {}).get("rare_labels", ())
    part = labelled_split(source, split, config, classifier.labels, rare)
    _check_pairs(classifier.pairs, part.texts.pair_column is not None)
    left_out = [f"{counted(count, 'row')} left out: {why}" for why, count in part.left_out.items()]
    for note in (*source.notes, *left_out):
        tell(Note("data", note, warning=True))
    return part


def _check_pairs(trained_on_pairs: bool | None, pairs: bool) -> None:
    """Refuse single texts where the model was trained on pairs, and pairs where it was not: figures would mislead."""
    if trained_on_pairs not in (None, pairs):
        kind, fix = ("pairs of", "set") if trained_on_pairs else ("single", "leave out")
        what = f"this model was trained on {kind} texts, and the data are not"
        raise ConfigError.at("--data.text_pair_column", what, f"{fix} --data.text_pair_column")
