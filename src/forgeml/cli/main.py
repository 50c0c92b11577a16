"""The command line's door: the commands, and the one place where errors become text and an exit code."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
import tempfile
import traceback
from types import FrameType
from typing import Annotated

import typer
from typer.exceptions import TyperException

from forgeml.cli import config, evaluate, predict, train
from forgeml.errors import ForgeError, Stopped

HELP = """Turn one YAML file into a text classifier in use.

\b
Examples:
  forgeml train config.yaml --training.num_epochs 1
  forgeml predict best_model "A warm, funny film."
  forgeml evaluate best_model test.csv
  forgeml config config.yaml

\b
Exit codes:
  0 done          1 a bug of ForgeML     2 configuration or usage   3 data
  4 model         5 machine              6 hub or network           7 training failed
  130 and 143     stopped by a signal
"""

DONE, BUG = 0, 1


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"forgeml {importlib.metadata.version('forgeml')}")
        raise typer.Exit


app = typer.Typer(help=HELP, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


app.command("train", context_settings=train.CONTEXT)(train.train)
app.command("predict")(predict.predict)
app.command("evaluate")(evaluate.evaluate)
app.command("config", context_settings=config.CONTEXT)(config.config)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line given, or the process's own, and exit with its code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    for stream in (sys.stdout, sys.stderr):
        # Under a locale without UTF-8 a text must not end the program.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run a command line and give its exit code; every error has been said on stderr."""
    try:
        app(arguments or ["--help"], prog_name="forgeml", standalone_mode=False)
        sys.stdout.flush()
    except ForgeError as error:
        _say(str(error))
        return error.exit_code
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "forgeml"
        _say(f"{command}: {error.format_message()}\n  fix: see {command} --help")
        return error.exit_code
    except Stopped as stop:
        _say("stopped")
        return stop.exit_code
    except (BrokenPipeError, SystemExit):
        # Whoever read the output has gone; Typer turns that into SystemExit while a command runs. Python would
        # complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # noqa: BLE001 the border: a bug becomes one sentence and a file
        _say(f"forgeml: a bug: {type(error).__name__}: {error}\n  fix: report it with {_write_traceback()}")
        return BUG
    return DONE


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


def _stop(signal_number: int, frame: FrameType | None) -> None:
    raise Stopped(signal_number)


def _write_traceback() -> str:
    with tempfile.NamedTemporaryFile("w", prefix="forgeml-", suffix=".log", delete=False, encoding="utf-8") as log:
        log.write(traceback.format_exc())
    return log.name
