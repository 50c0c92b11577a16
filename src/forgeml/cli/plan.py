"""`forgeml plan`: what a run would do, and how long it would take."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from forgeml.cli.arguments import FileAndSettings, Json, split_arguments
from forgeml.errors import ConfigError
from forgeml.machine import place_in_run


def plan(arguments: FileAndSettings = None, as_json: Json = False) -> None:
    """Do everything up to the first step, and tell what a run would be.

    Model and data are fetched and checked, texts are tokenized, and a few steps are timed; no model is saved. The exit
    code is that of `forgeml train`.

    \b
    Examples:
      forgeml plan
      forgeml plan config.yaml --training.batch_size 32 --json
    """
    from forgeml.cli.console import Watcher
    from forgeml.cli.screens import plan_screen
    from forgeml.config.loading import load_config, parse_overrides, place_settings, warnings
    from forgeml.events import Event, Progress

    place = place_in_run()
    if place.count > 1:
        refused = ConfigError.at("forgeml plan", f"was started as {place.count} processes", "start it by itself")
        refused.told_elsewhere = place.local_rank > 0
        raise refused
    file, settings = split_arguments(arguments)
    overrides = parse_overrides(settings)
    config = load_config(file, overrides)
    with Watcher() as watcher:

        def tell(event: Event) -> None:
            # All else stands on the screen at the end.
            if isinstance(event, Progress):
                watcher(event)

        # The slow imports come after the file has been checked: a typing error is told in an instant.
        from forgeml.training.plan import make_plan

        found = make_plan(config, tell)
    error = place_settings(found.error, file, overrides) if found.error else None
    problems = [asdict(problem) for problem in error.problems] if error else []
    told = {**found.facts, "warnings": warnings(config), "ready": not error, "problems": problems}
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        plan_screen(told)
    if error:
        raise typer.Exit(error.exit_code)
