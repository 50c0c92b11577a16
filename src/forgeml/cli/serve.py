"""`forgeml serve`: a saved model behind an HTTP API, with a page for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from forgeml.cli.arguments import Device, EngineName
from forgeml.errors import ConfigError, nearest

if TYPE_CHECKING:
    from forgeml.serving.guarding.hosts import Hosts
    from forgeml.serving.guarding.keys import Keys
    from forgeml.serving.limits import Limits

LONGEST_S = 86_400

Names = Annotated[
    list[str] | None, typer.Option("--allowed-host", help="A name that the server goes by, such as api.example.com.")
]
LimitsGiven = Annotated[
    list[str] | None, typer.Option("--limit", metavar="NAME=VALUE", help="Another bound, such as texts=128; see /info.")
]


Host = Annotated[str, typer.Option(help="Address to listen on; another than loopback needs keys.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes; each has the model in memory.")]
KeyFile = Annotated[str | None, typer.Option(help="File with keys, one a line; more in the variable FORGEML_API_KEYS.")]
Docs = Annotated[bool | None, typer.Option("--docs/--no-docs", help="Show /docs; left out: on loopback alone.")]
Watch = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="Between two looks whether the folder was replaced; 0: never.")
]
DrainDelay = Annotated[
    float, typer.Option(min=0, metavar="SECONDS", help="From SIGTERM, which turns /readyz red, to the closed port.")
]
Log = Annotated[str, typer.Option(help="json, text, or auto: text on a terminal.")]


def serve(
    model: Annotated[str, typer.Argument(help="Folder of a saved model, such as best_model.")],
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Workers = 1,
    keys: KeyFile = None,
    allowed_hosts: Names = None,
    docs: Docs = None,
    limits: LimitsGiven = None,
    watch: Watch = 2.0,
    drain_delay: DrainDelay = 3.0,
    log: Log = "auto",
    device: Device = "auto",
    engine: EngineName = "auto",
) -> None:
    """Answer over HTTP what a saved model says of texts, and show a page for people.

    \b
    Examples:
      forgeml serve best_model
      forgeml serve best_model --engine onnx-int8 --workers 2
      forgeml serve best_model --host 0.0.0.0 --keys keys.txt --allowed-host api.example.com
    """
    from functools import partial

    from forgeml.serving.app import Settings, build
    from forgeml.serving.telling import logs, metrics
    from forgeml.serving.transport import running
    from forgeml.serving.transport.addresses import is_loopback

    form, local = _form(log), is_loopback(host)
    made = Settings(
        model,
        engine,
        device,
        keys=_keys(keys, host, local=local),
        hosts=_hosts(allowed_hosts or [], host, local=local),
        docs=local if docs is None else docs,
        watch_s=_seconds("--watch", watch),
        limits=_limits(limits or []),
    )
    logs.configure(form)
    running.serve(
        partial(build, made, form),
        running.Settings(host, port, workers, _seconds("--drain-delay", drain_delay)),
        ready=lambda address: typer.echo(f"serving {model} on {address}"),
        worker_ended=metrics.forget_worker,
    )


def _seconds(option: str, value: float) -> float:
    """The value, which is to be a number that can be waited for.

    Raises:
        ConfigError: it is not.
    """
    if not value <= LONGEST_S:
        raise ConfigError.at(option, f"{value} seconds", f"give up to {LONGEST_S:,} seconds")
    return value


def _form(log: str) -> str:
    """How a line of the log looks.

    Raises:
        ConfigError: there is no such form.
    """
    import sys

    from forgeml.serving.telling.logs import FORMS

    if log not in ("auto", *FORMS):
        raise ConfigError.at("--log", f"there is no form {log!r}", f"choose one of auto, {', '.join(FORMS)}")
    return log if log != "auto" else "text" if sys.stderr.isatty() else "json"


def _keys(file: str | None, host: str, *, local: bool) -> Keys:
    """The keys of the file and of the environment.

    Raises:
        ConfigError: there are none though other machines can reach the host, or one of them is too short.
    """
    import os

    from forgeml.serving.guarding.keys import VARIABLE, Keys

    keys = Keys.read(file, os.environ.get(VARIABLE, ""))
    if not local and not keys:
        what = f"{host} can be reached from other machines, and no key is set"
        raise ConfigError.at("--host", what, f"give --keys FILE, set {VARIABLE}, or leave --host out")
    return keys


def _hosts(names: list[str], host: str, *, local: bool) -> Hosts:
    """The names that the server answers to, and on another address than loopback that address as well."""
    from forgeml.serving.guarding.hosts import Hosts

    known = [*names, *([] if local else [host])]
    return Hosts(frozenset(name.lower() for name in known), any_address=not local)


def _limits(given: list[str]) -> Limits:
    """The limits, with those that are given as NAME=VALUE.

    Raises:
        ConfigError: there is no limit of a name, or its value is not a number above 0.
    """
    from dataclasses import replace

    from forgeml.serving.limits import Limits

    limits = Limits()
    for one in given:
        name, _, value = one.partition("=")
        known = limits.as_dict()
        if name not in known:
            close = nearest(name, known)
            fix = f"did you mean {close}?" if close else f"choose one of {', '.join(known)}"
            raise ConfigError.at("--limit", f"there is no limit {name!r}", fix)
        kind = type(known[name])
        try:
            number = kind(value)
        except ValueError:
            number = kind(0)
        if not 0 < number < float("inf"):
            wanted = "a whole number" if kind is int else "a number"
            raise ConfigError.at("--limit", f"{name}={value!r}", f"give {wanted} above 0, such as {name}={known[name]}")
        limits = replace(limits, **{name: number})  # type: ignore[arg-type]
    return limits
