"""`forgeml config`: what a run would use."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from forgeml.cli.arguments import FileAndSettings, Json, split_arguments


def config(
    arguments: FileAndSettings = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of the file, for editors.")] = False,
    as_json: Json = False,
) -> None:
    """Print the configuration with every default filled in, and passwords as stars.

    \b
    Examples:
      forgeml config config.yaml --training.num_epochs 1
      forgeml config --schema > schema.json
    """
    from forgeml.config.loading import json_schema, load_config, parse_overrides, to_yaml, without_secrets

    if schema:
        typer.echo(json.dumps(json_schema(), indent=2))
        return
    file, settings = split_arguments(arguments)
    resolved = without_secrets(load_config(file, parse_overrides(settings)))
    typer.echo(json.dumps(resolved.model_dump(), indent=2) if as_json else to_yaml(resolved), nl=as_json)
