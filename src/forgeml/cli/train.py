"""`forgeml train`: from a configuration to a saved model."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forgeml.cli.arguments import FileAndSettings, Json, split_arguments
from forgeml.config.opening import hide_secrets
from forgeml.errors import ForgeError, Stopped, counted
from forgeml.machine import Place, place_in_run

if TYPE_CHECKING:
    from forgeml.config.schema import Config
    from forgeml.events import Event, Note, TrainingResult


def train(
    arguments: FileAndSettings = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over instead of going on with a run cut short.")
    ] = False,
    allow_changed: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD", help="A setting, or data or model, that may differ from how the run began."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fine-tune a model and save the best one in best_model/.

    A run that was killed or stopped goes on where it was when the same command is given again.

    \b
    Examples:
      forgeml train
      forgeml train config.yaml --training.num_epochs 1 --data.train_split "train[:5000]"
      forgeml train config.yaml --fresh
      forgeml train config.yaml --training.num_epochs 5 --allow-changed training.num_epochs
    """
    from forgeml.cli.console import Watcher, metrics_table
    from forgeml.config.loading import load_config, parse_overrides, place_settings
    from forgeml.events import Note

    place = place_in_run()
    with _said_once(place):
        file, settings = split_arguments(arguments)
        overrides = parse_overrides(settings)
        config = load_config(file, overrides)
    with Watcher(quiet=place.rank > 0) as tell:
        for note in _notes(config, file, len(overrides)):
            tell(note)
        try:
            result = _trained(config, place, tell, fresh=fresh, allow_changed=allow_changed or ())
        except ForgeError as error:
            raise place_settings(error, file, overrides) from error
        except Stopped:
            tell(Note("stopped", f"to go on: {_again(arguments, allow_changed, as_json=as_json)}", warning=True))
            raise
    if place.rank > 0:
        return
    if as_json:
        typer.echo(_as_json(result))
    else:
        metrics_table(result.metrics)


def _notes(config: Config, file: str, overrides: int) -> Iterator[Note]:
    """What there is to say of a configuration that was read."""
    from forgeml.config.loading import warnings
    from forgeml.events import Note

    changed = f", {counted(overrides, 'setting')} from the command line" if overrides else ""
    yield Note("configuration", f"{file} read{changed}; loading the libraries")
    for odd in warnings(config):
        yield Note("configuration", odd, warning=True)


def _trained(
    config: Config, place: Place, tell: Callable[[Event], None], *, fresh: bool, allow_changed: Sequence[str]
) -> TrainingResult:
    """Train. The slow imports come after all that can be told in an instant, such as a typing error."""
    from forgeml.training.lock import refuse_if_held

    if not place.launched:
        # The other processes of a run would find it held by their own main one.
        refuse_if_held(config.output_dir)
    from forgeml.training.processes import leave
    from forgeml.training.train import train as run

    result = run(config, tell, fresh=fresh, allow_changed=allow_changed)
    leave()
    return result


def _again(arguments: list[str] | None, allow_changed: list[str] | None, *, as_json: bool) -> str:
    """The command that goes on with a run that was stopped: the same one, but not from the beginning."""
    if place_in_run().launched:
        return "the same command, without --fresh"
    program = ["python", sys.argv[0]] if Path(sys.argv[0]).name == "train.py" else ["forgeml", "train"]
    allowed = [word for field in allow_changed or () for word in ("--allow-changed", field)]
    words = [*program, *map(hide_secrets, arguments or ()), *allowed, *(["--json"] if as_json else [])]
    return shlex.join(words)


def _as_json(result: TrainingResult) -> str:
    return json.dumps(
        {
            "folder": result.folder,
            "metrics": result.metrics,
            "best_step": result.best_step,
            "steps": result.steps,
            "seconds": round(result.seconds, 1),
            "run_id": result.run_id,
            "model_id": result.model_id,
        }
    )


@contextmanager
def _said_once(place: Place) -> Iterator[None]:
    """Inside `with`, where all processes of a run find the same errors, the first on each machine says them."""
    try:
        yield
    except ForgeError as error:
        error.told_elsewhere = place.local_rank > 0
        raise
