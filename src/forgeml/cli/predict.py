"""`forgeml predict`: what a saved model says of some texts, or of every row of a file."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from forgeml.cli.arguments import Device, EngineName, Json, Opening
from forgeml.errors import ConfigError

Texts = Annotated[list[str], typer.Argument(metavar="TEXT...|INPUT", help="Texts, each in quotes; or a file, or -.")]
Pairs = Annotated[
    list[str] | None,
    typer.Option("--pair", help="Second text, for a model of pairs; once for each text, in the same order."),
]
Output = Annotated[
    str | None, typer.Option("--output", "-o", help="Score a whole file and write it here, or to - for stdout.")
]
From = Annotated[
    str | None, typer.Option("--from", help="Kind of what comes on stdin: csv, tsv, json, jsonl, parquet.")
]
To = Annotated[str | None, typer.Option("--to", help="Kind of what goes to stdout; left out: that of the input.")]
TextColumn = Annotated[
    list[str] | None, typer.Option(help="Column with the text, once or several times; left out: as in training.")
]
PairColumn = Annotated[str | None, typer.Option(help="Column with the second text; left out: as in training.")]
Scores = Annotated[bool, typer.Option("--scores", help="Add a column for each class, score_CLASS.")]
Suffix = Annotated[str, typer.Option(help="What goes behind each added name, such as _predicted.")]
NoEscape = Annotated[
    bool, typer.Option("--no-escape", help="Leave CSV cells that a spreadsheet would run as they are.")
]
OnBadRows = Annotated[str | None, typer.Option(help="error, or skip to leave rows out that cannot be read.")]
Delimiter = Annotated[str | None, typer.Option(help='Between the fields of CSV, such as ";" or tab.')]
Encoding = Annotated[str | None, typer.Option(help="Of the input, such as cp1252; left out: utf-8.")]
Field = Annotated[str | None, typer.Option(help="Key under which the rows of a JSON file stand.")]
Explained = Annotated[bool, typer.Option("--explain", help="Mark the words that the answer rests on.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it is there already.")]

FOR_FILES = {
    "from_kind": "--from",
    "to_kind": "--to",
    "text_column": "--text-column",
    "pair_column": "--pair-column",
    "scores": "--scores",
    "suffix": "--suffix",
    "no_escape": "--no-escape",
    "on_bad_rows": "--on-bad-rows",
    "delimiter": "--delimiter",
    "encoding": "--encoding",
    "field": "--field",
    "overwrite": "--overwrite",
}
"""Parameters that have a meaning for whole files only, and their names on the command line."""


def predict(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Folder of a saved model, such as best_model.")],
    texts: Texts,
    pairs: Pairs = None,
    output: Output = None,
    from_kind: From = None,
    to_kind: To = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    scores: Scores = False,
    suffix: Suffix = "",
    no_escape: NoEscape = False,
    on_bad_rows: OnBadRows = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    field: Field = None,
    overwrite: Overwrite = False,
    explained: Explained = False,
    device: Device = "auto",
    engine: EngineName = "auto",
    as_json: Json = False,
) -> None:
    """Classify texts with a saved model, or every row of a file.

    A file keeps its rows and columns and gets label and score behind them. If the run is stopped, the same command
    goes on where it was.

    \b
    Examples:
      forgeml predict best_model "A warm, funny film." "Two hours too long."
      forgeml predict best_model "A warm, funny film." --json
      forgeml predict best_model "A warm, funny film." --explain
      forgeml predict best_model "A plane takes off." --pair "An air plane is taking off."
      forgeml predict best_model reviews.csv -o scored.csv
      forgeml predict best_model reviews.parquet -o scored.jsonl.gz --text-column review --scores
      zcat reviews.jsonl.gz | forgeml predict best_model - --from jsonl -o - | head
    """
    asked = {option: context.params[name] for name, option in FOR_FILES.items()}
    from forgeml.cli.predict_file import means_file, predict_file, refuse_files

    if means_file(texts, output):
        _refuse_texts(texts, pairs, explained)
        predict_file(Opening(model, device, engine), texts[0], output, asked, as_json)
        return
    refuse_files(model, texts)
    for option, value in asked.items():
        if value:
            raise ConfigError.at(option, "is for files only", "name a file and an --output, or leave it out")
    _predict_texts(Opening(model, device, engine), texts, pairs, explained, as_json)


def _predict_texts(opening: Opening, texts: list[str], pairs: list[str] | None, explained: bool, as_json: bool) -> None:
    _check_texts([*texts, *(pairs or ())])
    if pairs and len(pairs) != len(texts):
        what = f"{len(texts)} texts and {len(pairs)} second texts"
        raise ConfigError.at("--pair", what, "give one --pair for each text, in the same order")
    # The slow imports come after the check: a mistake is told in an instant.
    from forgeml.cli.console import predictions_table
    from forgeml.cli.explaining import show_explained
    from forgeml.inference.classifier import Classifier

    classifier = Classifier.from_pretrained(opening.folder, opening.device, opening.engine)
    if classifier.note:
        typer.echo(f"engine: {classifier.note}", err=True)
    _check_pairs(classifier.pairs, pairs)
    predictions = classifier.predict(texts, pairs)
    if explained:
        show_explained(classifier, texts, pairs, predictions, as_json)
        return
    if not as_json:
        predictions_table(texts, pairs, predictions)
        return
    for place, (text, answer) in enumerate(zip(texts, predictions, strict=True)):
        asked = {"text": text, "text_pair": pairs[place]} if pairs else {"text": text}
        typer.echo(json.dumps(asked | answer.as_dict(), ensure_ascii=False))


def _refuse_texts(texts: list[str], pairs: list[str] | None, explained: bool) -> None:
    """Refuse what cannot go together with a file.

    Raises:
        ConfigError: several inputs, a second text, or words to be marked.
    """
    if explained:
        raise ConfigError.at("--explain", "is for texts on the command line", "give the texts themselves, in quotes")
    if len(texts) > 1:
        what = "unexpected argument: with --output one file is scored"
        raise ConfigError.at(texts[1], what, "run the command once for each file, or leave --output out for texts")
    if pairs:
        raise ConfigError.at("--pair", "is for texts on the command line", "name the column with --pair-column")


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
