"""The files in deploy/ as the tests read them, and what the code says that they must agree with."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from conftest import REPOSITORY
from forgeml.cli.main import app

DEPLOY = REPOSITORY / "deploy"
DRAIN_DELAY_S = 3.0
"""What `--drain-delay` is where a file does not say."""


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, and the stage that it stands in ("" before the first)."""

    stage: str
    name: str
    text: str


def dockerfile() -> list[Instruction]:
    """The instructions of deploy/Dockerfile, without comments and with their lines put together."""
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    whole = "\n".join(line for line in lines if not line.lstrip().startswith("#")).replace("\\\n", " ")
    found, stage = [], ""
    for line in filter(None, map(str.strip, whole.splitlines())):
        name, _, text = line.partition(" ")
        stage = text.rpartition(" AS ")[2] if name == "FROM" else stage
        found.append(Instruction(stage, name, " ".join(text.split())))
    return found


def of(stage: str, name: str) -> list[str]:
    """What the instructions of this name in this stage say."""
    return [one.text for one in dockerfile() if (one.stage, one.name) == (stage, name)]


def load(name: str) -> Any:
    """The one YAML document of a file in deploy/."""
    return YAML(typ="safe").load(DEPLOY / name)


def documents(name: str) -> list[Any]:
    """The YAML documents of a file in deploy/."""
    return list(YAML(typ="safe").load_all(DEPLOY / name))


def program(name: str) -> str:
    """The path of a checking program beside this Python or on the path; the test is skipped where there is none."""
    path = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return path or pytest.skip(f"{name} is not installed here")


def serve_options() -> dict[str, Any]:
    """The options that the command `serve` has, each with its default."""
    commands = getattr(typer.main.get_command(app), "commands", {})
    if "serve" not in commands:
        pytest.skip("there is no command `serve` yet")
    return {option: parameter.default for parameter in commands["serve"].params for option in parameter.opts}


def options(words: Iterable[str]) -> dict[str, str]:
    """The options among the words of a command line, each with its last value, written as two words or with `=`."""
    found, last = {}, ""
    for word in words:
        if word.startswith("--"):
            last, _, found[last] = word.partition("=")[0], "", word.partition("=")[2]
        elif last and not found[last]:
            found[last] = word
    return found


def command_lines() -> dict[str, list[str]]:
    """Every command line of `forgeml serve` in deploy/ and docs/deploy.md, by where it stands."""
    (entrypoint,) = of("server", "ENTRYPOINT")
    deployment = next(one for one in documents("kubernetes.yaml") if one["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    (unit,) = re.findall(r"^ExecStart=(.+)$", (DEPLOY / "forgeml.service").read_text(), re.MULTILINE)
    document = (REPOSITORY / "docs" / "deploy.md").read_text(encoding="utf-8").replace("\\\n", " ")
    return {
        "Dockerfile": YAML(typ="safe").load(entrypoint),
        "compose.yaml": ["forgeml", "serve", *load("compose.yaml")["services"]["server"]["command"]],
        "kubernetes.yaml": [*container["command"], *container["args"]],
        "forgeml.service": shlex.split(unit),
        **{
            f"deploy.md, {line}": shlex.split(line)
            for line in re.findall(r"^forgeml serve .+$", document, re.MULTILINE)
        },
    }


def serving_source() -> str:
    """The source of the server with its command; the test is skipped while there is none."""
    package = REPOSITORY / "src" / "forgeml"
    files = [*(package / "serving").rglob("*.py"), *(package / "cli").glob("serv*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    if "/readyz" not in text:
        pytest.skip("there is no server yet")
    return text


def seconds(text: str) -> float:
    """A time such as 45, 45s or 2m in seconds."""
    return float(text.rstrip("sm")) * (60 if text.endswith("m") else 1)
