"""`forgeml init`: from data to a first configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from forgeml.cli.arguments import DEFAULT_FILE, split_names
from forgeml.errors import ConfigError, MachineError


def init(
    data: Annotated[str, typer.Argument(help="Labelled texts: a file, a folder with train.csv, or a hub data set.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[--data.KEY VALUE]", help="How to read the data, such as --data.encoding cp1252."),
    ] = None,
    model: Annotated[str, typer.Option(help="Model to start from: a name on the hub, or a local folder.")] = (
        "distilbert-base-uncased"
    ),
    output: Annotated[str, typer.Option(help="File to write; - for standard output.")] = DEFAULT_FILE,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there already.")] = False,
) -> None:
    """Look at some data and write a commented configuration that trains as it is.

    \b
    Examples:
      forgeml init reviews.csv
      forgeml init data/ --model ./my-model --output data.yaml
      forgeml init tweet_eval --data.subset emotion
    """
    from forgeml.cli.console import Watcher
    from forgeml.config.loading import data_section, parse_overrides

    # The parser takes a setting that comes first for the data.
    [data], given = split_names([data, *(settings or ())], ["DATA"])
    config = data_section({"dataset": data}, parse_overrides(given))
    if output != "-" and os.path.lexists(output) and not force:
        raise ConfigError.at(output, "is there already", "add --force to write over it, or choose another --output")
    with Watcher() as tell:
        # The slow imports come after the command line has been checked: a typing error is told in an instant.
        from forgeml.training.first_config import first_config

        text = first_config(config, model, DEFAULT_FILE if output == "-" else output, tell)
    if output == "-":
        typer.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise MachineError.at(output, f"cannot be written: {error.strerror}", "choose another --output") from error
    typer.echo(f"{output} written; next: forgeml plan {'' if output == DEFAULT_FILE else output}".rstrip())
