"""`forgeml export`: a saved model as a file for other tools."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from forgeml.cli.arguments import Json
from forgeml.errors import ConfigError

KINDS = ("onnx", "openvino")
"""What can be written."""


def export(
    model: Annotated[str, typer.Argument(help="Folder of a saved model, such as best_model.")],
    to: Annotated[str, typer.Option("--to", help=f"One of {', '.join(KINDS)}.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File to write; left out: the folder's name with its ending.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Write a saved model as ONNX or OpenVINO, in fp32, for other tools.

    Inputs are input_ids, attention_mask and, where the model takes them, token_type_ids; the output is logits. The file
    is run on a few texts and compared with the model before it is put in its place.

    \b
    Examples:
      forgeml export best_model --to onnx
      forgeml export best_model --to openvino -o served/model.xml
    """
    if to not in KINDS:
        raise ConfigError.at("--to", f"there is no {to!r}", f"choose one of {', '.join(KINDS)}")
    from forgeml.cli.console import facts_table
    from forgeml.optimizing.exporting import export as write

    found = write(model, to, output, overwrite)
    if as_json:
        typer.echo(json.dumps({"files": found.files, "inputs": found.inputs, "largest_difference": found.difference}))
        return
    facts_table(
        [
            ("written", ", ".join(found.files)),
            ("inputs", ", ".join(found.inputs)),
            ("checked", f"logits differ from those of the model by up to {found.difference:.1e}"),
        ]
    )
