"""The command line's door: the commands, and the one place where errors become text and an exit code."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from types import FrameType
from typing import Annotated

import typer
from typer.exceptions import TyperException

from forgeml.cli import config, doctor, evaluate, export, init, optimize, plan, predict, serve, streams, sync, train
from forgeml.cli.arguments import CONTEXT
from forgeml.config.opening import hide_secrets
from forgeml.errors import ForgeError, MachineError, Stopped
from forgeml.floors import check_floors
from forgeml.machine import place_in_run

HELP = """Turn one YAML file into a text classifier in use.

\b
Examples:
  forgeml init reviews.csv
  forgeml plan
  forgeml train config.yaml --training.num_epochs 1
  forgeml sync
  forgeml predict best_model "A warm, funny film."
  forgeml evaluate best_model test.csv
  forgeml optimize best_model
  forgeml export best_model --to onnx
  forgeml serve best_model
  forgeml doctor
  forgeml config config.yaml

\b
Exit codes:
  0 done          1 a bug of ForgeML     2 configuration or usage   3 data
  4 model         5 machine              6 hub or network           7 training failed
  129, 130, 143   stopped by a signal
"""

DONE, BUG = 0, 1

EXTRAS = {
    "train": (
        "torch",
        "transformers",
        "accelerate",
        "datasets",
        "huggingface_hub",
        "mlflow",
        "pyarrow",
        "scipy",
        "sklearn",
    ),
    "optimize": ("onnx", "onnxruntime", "openvino"),
    "serve": ("fastapi", "starlette", "uvicorn", "httptools", "prometheus_client"),
}
"""Packages that only some commands need, by the extra that installs them."""
EXTRA_OF = {**dict.fromkeys(("init", "plan", "train", "sync", "optimize", "export"), "train"), "serve": "serve"}
"""The extra without which a command does nothing."""

ONE_STOP_S = 1.0
"""A further signal within this time belongs to the first: `timeout` and service managers send two at once."""
AGAIN_S = 0.02
"""After which a signal whose exception was dropped is sent again: whatever was being freed is gone by then."""
LONGEST_STOP_S = 20
"""How long a process that is told to stop waits for the main one to be gone. torchrun kills after 30 seconds."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"forgeml {importlib.metadata.version('forgeml')}")
        raise typer.Exit


app = typer.Typer(help=HELP, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand != "doctor":
        # That one tells it among all else that it finds.
        check_floors(EXTRA_OF.get(context.invoked_subcommand or "", ""))


app.command("init", context_settings=CONTEXT)(init.init)
app.command("plan", context_settings=CONTEXT)(plan.plan)
app.command("train", context_settings=CONTEXT)(train.train)
app.command("sync")(sync.sync)
app.command("predict")(predict.predict)
app.command("evaluate", context_settings=CONTEXT)(evaluate.evaluate)
app.command("optimize", context_settings=CONTEXT)(optimize.optimize)
app.command("export")(export.export)
app.command("serve")(serve.serve)
app.command("doctor")(doctor.doctor)
app.command("config", context_settings=CONTEXT)(config.config)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line given, or the process's own, and exit with its code."""
    place = place_in_run()
    stop = _Stop() if place.rank == 0 else _Follow()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # What is ignored already, as by nohup or in a script's background, stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    if isinstance(stop, _Stop):
        sys.unraisablehook = stop.dropped
    streams.prepare()
    code = run(sys.argv[1:] if arguments is None else arguments)
    if place.launched:
        # The launcher tells all others to stop once one of them has ended with an error; each ends with its own code.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    sys.exit(stop.exit_code or code)


def run(arguments: list[str]) -> int:
    """Run a command line and give its exit code; every error has been said on stderr."""
    try:
        ended = app(arguments or ["--help"], prog_name="forgeml", standalone_mode=False)
        sys.stdout.flush()
    except ForgeError as error:
        return _failed(error)
    except TyperException as error:
        return _misused(error)
    except Stopped as stop:
        _say("stopped")
        return stop.exit_code
    except streams.ReaderGone:
        return DONE
    except SystemExit as end:
        # Typer turns every broken pipe into this, be it the one to a server.
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        return _bug(end.__context__)
    except ModuleNotFoundError as error:
        return _absent(error)
    except Exception as error:  # noqa: BLE001 the border: a bug becomes one sentence and a file
        return _bug(error)
    # What typer.Exit was raised with; commands that end otherwise return nothing.
    return ended if isinstance(ended, int) else DONE


class _Stop:
    """Handles signals: the first one lets the program clean up, one more ends it at once."""

    exit_code = 0
    """What the program ends with comes with the exception."""

    def __init__(self) -> None:
        self._at: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._at is None:
            self._at = time.monotonic()
            raise Stopped(number)
        if time.monotonic() - self._at > ONE_STOP_S:
            os._exit(128 + number)

    def dropped(self, lost: sys.UnraisableHookArgs) -> None:
        """Try again if Python has dropped the exception, as it does with those that come while it frees something."""
        if not isinstance(lost.exc_value, Stopped):
            sys.__unraisablehook__(lost)
            return
        self._at = None
        # To the main thread, as it may sit in a call that only a signal of its own cuts short.
        again = [threading.main_thread().ident, lost.exc_value.signal_number]
        threading.Timer(AGAIN_S, signal.pthread_kill, again).start()


class _Follow:
    """Handles signals in all processes of a run but the main one, which has to stop first, as it has what is kept.

    As long as it takes part in a step, it needs the others. Once it is gone, their part in the next step fails.
    """

    exit_code = 0
    """What the program ends with; 0 while there was no signal."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.exit_code:
            self.exit_code = 128 + number
            # For processes that wait for a GPU, where nothing fails.
            signal.alarm(LONGEST_STOP_S)


def _failed(error: ForgeError) -> int:
    if error.told_elsewhere:
        _let_it_be_told()
    else:
        _say(str(error))
    return error.exit_code


def _misused(error: TyperException) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "forgeml"
    if place_in_run().local_rank == 0:
        _say(f"{command}: {error.format_message()}\n  fix: see {command} --help")
    else:
        _let_it_be_told()
    return error.exit_code


def _let_it_be_told() -> None:
    """Wait until the main process has told the error: to end before it is to have the launcher stop it in mid-word.

    Once that one has ended, the launcher's signal comes here. It itself waits for nobody: the others talk on.
    """
    follow = signal.getsignal(signal.SIGTERM)
    last = time.monotonic() + LONGEST_STOP_S
    while isinstance(follow, _Follow) and not follow.exit_code and time.monotonic() < last:
        time.sleep(0.05)


def _absent(error: ModuleNotFoundError) -> int:
    """A package of an extra that is not installed is the machine's; any other one is a bug."""
    package = (error.name or "").partition(".")[0]
    extra = next((extra for extra, packages in EXTRAS.items() if package in packages), None)
    if extra is None:
        return _bug(error)
    _say(f"forgeml: this needs {package}, which is not installed\n  fix: pip install 'forgeml[{extra}]'")
    return MachineError.exit_code


def _bug(error: BaseException) -> int:
    with tempfile.NamedTemporaryFile("w", prefix="forgeml-", suffix=".log", delete=False, encoding="utf-8") as log:
        log.write(hide_secrets("".join(traceback.format_exception(error))))
    _say(f"forgeml: a bug: {type(error).__name__}: {error}\n  fix: report it with {log.name}")
    return BUG


def _say(text: str) -> None:
    print(hide_secrets(text), file=sys.stderr)  # noqa: T201
