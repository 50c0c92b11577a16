"""What commands share: the options of several, and a configuration file with settings that win over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from forgeml.config.opening import hide_secrets
from forgeml.errors import ConfigError

DEFAULT_FILE = "config.yaml"

# Settings are options of names that only the schema knows, so they pass through the parser as they are.
CONTEXT: dict[str, Any] = {"ignore_unknown_options": True}

FileAndSettings = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONFIG [--SECTION.KEY VALUE]",
        help=f"The file (default: {DEFAULT_FILE}) and any settings that are to win over it.",
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout; everything for people goes to stderr.")]

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]

EngineName = Annotated[
    str, typer.Option("--engine", help="auto takes what forgeml optimize has found; or a name, such as onnx-int8.")
]


@dataclass(frozen=True)
class Opening:
    """How a saved model is to be opened."""

    folder: str
    device: str
    engine: str


def split_arguments(arguments: list[str] | None) -> tuple[str, list[str]]:
    """The configuration file, and the rest, which are settings; the file may stand before, between or after them.

    Raises:
        ConfigError: two arguments could be the file.
    """
    files, settings = split_apart(arguments or ())
    if len(files) > 1:
        what = f"unexpected argument; the configuration file is {hide_secrets(files[0])}"
        fix = "name one file; settings are given as --section.key value, such as --training.num_epochs 1"
        raise ConfigError.at(hide_secrets(files[1]), what, fix)
    return files[0] if files else DEFAULT_FILE, settings


def split_names(arguments: Sequence[str], wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names that a command asks for, and the settings, which may stand before, between or after them.

    Args:
        arguments: all of them, in their order.
        wanted: what each name is called in the help.

    Raises:
        ConfigError: there are more names, or fewer.
    """
    names, settings = split_apart(arguments)
    fix = "settings are given as --data.key value, such as --data.encoding cp1252"
    if len(names) > len(wanted):
        raise ConfigError.at(hide_secrets(names[len(wanted)]), "unexpected argument", fix)
    if len(names) < len(wanted):
        raise ConfigError.at(wanted[len(names)], "is missing", f"give it; {fix}")
    return names, settings


def split_apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names, and settings with their values, each in their order."""
    names: list[str] = []
    settings: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            names.append(word)
            continue
        settings.append(word)
        if word.startswith("--") and "=" not in word and rest and not rest[0].startswith("--"):
            settings.append(rest.pop(0))
    return names, settings
