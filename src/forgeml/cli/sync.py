"""`forgeml sync`: what MLflow did not take during a training, sent after it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from forgeml.cli.arguments import Json
from forgeml.errors import ConfigError


def sync(
    place: Annotated[str, typer.Argument(help="Output folder of a training, or one of its journals.")] = ".",
    tracking_uri: Annotated[
        str | None, typer.Option("--tracking-uri", help="The store, where it is not the one of the training any more.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Send what MLflow did not take during a training, and close runs that were cut off.

    A training keeps its records in tracking/ in its output folder as long as MLflow does not have them all. They go
    into the same run, with their names, steps and times. What is there already stays as it is, so the command can be
    run again. A run whose process is gone without a word is closed as KILLED.

    \b
    Examples:
      forgeml sync
      forgeml sync runs/reviews
      forgeml sync runs/reviews --tracking-uri http://localhost:5000 --json
    """
    path = Path(place)
    if not path.exists():
        raise ConfigError.at(place, "no such file or folder", "name the output folder of a training")
    from forgeml.cli.console import facts_table
    from forgeml.training.tracking.journal import journals_in

    if not journals_in(path):
        if as_json:
            typer.echo(json.dumps({"journals": []}))
        else:
            facts_table([("sync", f"no journal in {place}, nothing is to be sent")])
        return
    # MLflow takes seconds to load.
    from forgeml.training.tracking.syncing import describe, failure
    from forgeml.training.tracking.syncing import sync as send

    found = send(path, tracking_uri)
    if as_json:
        typer.echo(json.dumps({"journals": [asdict(one) for one in found]}))
    else:
        facts_table([describe(one) for one in found])
    if error := failure(found):
        raise error
