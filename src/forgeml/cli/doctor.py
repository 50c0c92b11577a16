"""`forgeml doctor`: what keeps a training from working on this machine."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forgeml.cli.arguments import DEFAULT_FILE, Json
from forgeml.errors import ConfigError, ForgeError, MachineError

if TYPE_CHECKING:
    from forgeml.doctor.finding import Finding, Subject

Place = Annotated[
    str | None,
    typer.Argument(
        metavar="[CONFIG or FOLDER]",
        help=f"A configuration, or an output folder (default: {DEFAULT_FILE} if it is there, else this folder).",
    ),
]


def doctor(
    place: Place = None,
    fast: Annotated[bool, typer.Option("--fast", help="Do not read large files to compare their hashes.")] = False,
    as_json: Json = False,
) -> None:
    """Look at what a training needs on this machine, and tell what is wrong and how to mend it.

    Versions, device, precision, threads, memory, disks, the output folder with its lock and its checkpoints, the
    tracking store, and the caches, where each file from the hub is compared with its own hash. Nothing is changed. The
    exit code is 5 where there is a problem; warnings alone leave it 0.

    \b
    Examples:
      forgeml doctor
      forgeml doctor config.yaml --fast
      forgeml doctor runs/reviews --json
    """
    from forgeml.cli.console import Watcher
    from forgeml.cli.screens import doctor_screen
    from forgeml.doctor.examine import examine
    from forgeml.events import Event, Progress

    with Watcher() as watcher:

        def tell(event: Event) -> None:
            if isinstance(event, Progress):
                watcher(event)

        subject, findings = _subject(place, fast)
        findings += examine(subject, tell)
    well = all(found.state != "problem" for found in findings)
    if as_json:
        # In ASCII, since names of files may be no UTF-8.
        typer.echo(json.dumps({"well": well, "findings": [asdict(found) for found in findings]}))
    else:
        doctor_screen(findings)
    if not well:
        raise typer.Exit(MachineError.exit_code)


def _subject(place: str | None, fast: bool) -> tuple[Subject, list[Finding]]:
    """What to look at, and what is wrong with the configuration, in whose stead the defaults are then taken."""
    from forgeml.config.loading import load_config
    from forgeml.config.schema import MlflowConfig
    from forgeml.doctor.finding import Subject, from_problem, ok

    default = Subject(Path("."), MlflowConfig().tracking_uri, fast=fast)
    if place is not None and not os.path.exists(place):
        raise ConfigError.at(place, "is neither a configuration nor a folder", "name one that is there")
    if place is not None and os.path.isdir(place):
        return Subject(Path(place), default.tracking_uri, fast=fast), []
    file = place or DEFAULT_FILE
    if not os.path.exists(file):
        return default, []
    try:
        config = load_config(file)
    except ForgeError as error:
        return default, [from_problem("configuration", found) for found in error.problems]
    output = Path(os.path.expanduser(config.output_dir))
    return Subject(output, config.mlflow.tracking_uri, config, fast), [ok("configuration", f"{file} is in order")]
