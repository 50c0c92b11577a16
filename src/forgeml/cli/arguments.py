"""What `train` and `config` share: a configuration file and settings that win over it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

DEFAULT_FILE = "config.yaml"

# Settings are options of names that only the schema knows, so they pass through the parser as they are.
CONTEXT: dict[str, Any] = {"ignore_unknown_options": True}

FileAndSettings = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONFIG [--SECTION.KEY VALUE]",
        help=f"The file (default: {DEFAULT_FILE}), then any settings that are to win over it.",
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout; everything for people goes to stderr.")]


def split_arguments(arguments: list[str] | None) -> tuple[str, list[str]]:
    """The configuration file, and the rest, which are settings."""
    given = arguments or []
    if given and not given[0].startswith("--"):
        return given[0], given[1:]
    return DEFAULT_FILE, given
