"""`forgeml optimize`: which engine runs a saved model best on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forgeml.cli.arguments import Device, Json, split_apart, split_names
from forgeml.errors import ConfigError

if TYPE_CHECKING:
    from forgeml.events import Event
    from forgeml.inference.classifier import Classifier
    from forgeml.optimizing.samples import Samples

AIMS = ("throughput", "latency")

Data = Annotated[
    str | None, typer.Argument(help="Labelled texts to measure with; left out: those that the training held out.")
]
SplitOfData = Annotated[str | None, typer.Option(help="Split or slice of DATA; left out: test, or the only one.")]
Subset = Annotated[str | None, typer.Option(help="Configuration of a hub data set that has several.")]
Aim = Annotated[str, typer.Option("--for", help="What counts: throughput or latency.")]
MaxDrop = Annotated[float, typer.Option(min=0, help="How much worse the metric may be than in fp32, in points.")]
MinAgreement = Annotated[
    float, typer.Option(min=0, max=100, help="Percent of the texts of which it has to say the same as fp32.")
]
MostTexts = Annotated[int, typer.Option("--texts", min=1, help="How many texts to measure with, at most.")]
Settings = Annotated[
    list[str] | None,
    typer.Argument(metavar="[--data.KEY VALUE]", help="How to read DATA, such as --data.encoding cp1252."),
]


def optimize(
    model: Annotated[str, typer.Argument(help="Folder that forgeml train has saved, such as best_model.")],
    data: Data = None,
    settings: Settings = None,
    split: SplitOfData = None,
    subset: Subset = None,
    aim: Aim = AIMS[0],
    max_drop: MaxDrop = 0.5,
    min_agreement: MinAgreement = 96.0,
    most_texts: MostTexts = 2000,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Try all engines on this machine and use the fastest that answers as fp32 does.

    Engines are torch, ONNX Runtime and OpenVINO, in fp32, bf16 and eight bits. Their speed, their answers and the
    metric are compared on texts that the training held out. The winner's files and the record of all join the
    folder; predict and evaluate then use it on machines like this one.

    \b
    Examples:
      forgeml optimize best_model
      forgeml optimize best_model held-out.csv --for latency
      forgeml optimize best_model --min-agreement 99 --json
    """
    if aim not in AIMS:
        raise ConfigError.at("--for", f"there is no {aim!r}", f"choose one of {', '.join(AIMS)}")
    words = [word for word in (model, data, *(settings or ())) if word]
    folder, given, overrides = _data_of(words, {"--split": split, "--subset": subset})
    from forgeml.cli.console import Watcher
    from forgeml.cli.screens import trials_screen
    from forgeml.optimizing.optimize import Guard
    from forgeml.optimizing.optimize import optimize as run

    with Watcher() as tell:
        reference, samples = _open(folder, device, given, overrides, split, most_texts, tell)
        found = run(
            reference, Path(os.path.expanduser(folder)), samples, Guard(max_drop, min_agreement / 100), aim, tell
        )
    if as_json:
        typer.echo(json.dumps(asdict(found) | {"trials": [trial.as_dict() for trial in found.trials]}))
    else:
        trials_screen(found, samples.data, samples.measured.name)


def _open(
    folder: str,
    device: str,
    given: dict[str, str | None],
    overrides: list[tuple[str, str]],
    split: str | None,
    most: int,
    tell: Callable[[Event], None],
) -> tuple[Classifier, Samples]:
    """The model as it is, and the texts to measure it with."""
    from forgeml.inference.classifier import Classifier
    from forgeml.inference.engines import PLAIN
    from forgeml.inference.labelled import how_to_read
    from forgeml.optimizing import samples

    reference = Classifier.from_pretrained(folder, device, PLAIN)
    samples.refuse_foreign(reference, folder)
    if not given:
        return reference, samples.from_training(reference, most, tell)
    return reference, samples.from_data(reference, how_to_read(reference, given, overrides), split, most, tell)


def _data_of(
    words: list[str], options: dict[str, str | None]
) -> tuple[str, dict[str, str | None], list[tuple[str, str]]]:
    """The folder, where the data are, and settings for them; the parser takes settings that come first for names."""
    names, rest = split_apart(words)
    if len(names) > 1:
        names, rest = split_names(words, ["MODEL", "DATA"])
        from forgeml.config.loading import parse_overrides

        return names[0], {"dataset": names[1], "subset": options["--subset"]}, parse_overrides(rest)
    [folder], _ = split_names(names, ["MODEL"])
    for word in (*rest, *(name for name, value in options.items() if value)):
        fix = "name the data as well; those of the training are read as they were then"
        raise ConfigError.at(word, "is for DATA only", fix)
    return folder, {}, []
