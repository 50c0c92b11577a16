"""The documents say only what holds: their commands and code run, and all there is to say is said."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from command import forgeml, run
from conftest import REPOSITORY
from forgeml.cli.main import app
from forgeml.config.loading import load_config, setting_names

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
COMMANDS = [command.name for command in app.registered_commands]
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)#]+)\)")


def _blocks(language: str) -> list[Any]:
    return [
        pytest.param(match["text"], id=f"{page.name}-{number}")
        for page in PAGES
        for number, match in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")))
        if match["language"] == language
    ]


@pytest.fixture
def project(trained: Path, reviews: Path, tiny_settings: dict[str, Any], tmp_path: Path) -> Path:
    """A folder as a user has it: config.yaml, train.py, data, and a model from an earlier run."""
    shutil.copytree(trained / "best_model", tmp_path / "best_model")
    shutil.copy(reviews / "train.csv", tmp_path / "reviews.csv")
    shutil.copy(reviews / "test.csv", tmp_path / "test.csv")
    shutil.copy(REPOSITORY / "train.py", tmp_path / "train.py")
    with (tmp_path / "config.yaml").open("w") as file:
        YAML(typ="safe").dump(tiny_settings, file)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("text", _blocks("bash"))
def test_shell_blocks_run(text: str, project: Path) -> None:
    """Every command in a bash block ends with 0; those of make name a target that there is."""
    for line in text.splitlines():
        words = line.split("#")[0].strip()
        if words.startswith("make "):
            target = words.split()[1]
            assert re.search(rf"^{target}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE), line
        elif words.startswith("pip install"):
            extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            assert set(re.findall(r"forgeml\[(\w+)\]", words)) <= extras.keys(), line
        elif words and not words.startswith(". "):
            shell = (
                words.replace("forgeml ", f"{sys.executable} -m forgeml ", 1) if words.startswith("forgeml ") else words
            )
            shell = shell.replace("python ", f"{sys.executable} ", 1) if shell.startswith("python ") else shell
            done = run("bash", "-c", shell, cwd=project)
            assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("text", _blocks("python"))
def test_python_blocks_run(text: str, project: Path) -> None:
    """Every Python block runs as it stands."""
    done = run(sys.executable, "-c", text, cwd=project)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", _blocks("yaml"))
def test_yaml_blocks_load(text: str) -> None:
    """Every YAML block is a whole configuration."""
    Path("block.yaml").write_text(text)
    load_config("block.yaml")


def test_every_command_and_setting_is_documented() -> None:
    """Each command has its part in commands.md, each setting its row in configuration.md."""
    commands = (REPOSITORY / "docs" / "commands.md").read_text()
    settings = (REPOSITORY / "docs" / "configuration.md").read_text()
    assert [name for name in COMMANDS if f"## `forgeml {name}`" not in commands] == []
    assert [name for name in setting_names() if f"| `{name}` |" not in settings] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_only_what_there_is(page: Path) -> None:
    """Commands and settings named in a page exist, and so do the files that it links to."""
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"`forgeml ([a-z]+)", text)) <= set(COMMANDS)
    sections = {name.split(".")[0] for name in setting_names() if "." in name}
    named = {name for name in re.findall(r"`(?:--)?([a-z]+\.[a-z_]+)`", text) if name.split(".")[0] in sections}
    files = {name for name in named if name.endswith((".safetensors", ".yaml", ".json", ".db"))}
    assert named - files <= set(setting_names())
    for link in LINK.finditer(text):
        assert (page.parent / link["target"]).exists(), link["target"]


def test_generated_pages_are_up_to_date() -> None:
    """docs/generate.py would write what is there."""
    done = run(sys.executable, REPOSITORY / "docs" / "generate.py", "--check")
    assert done.returncode == 0, done.stderr


def test_readme_is_short_and_begins_with_the_two_commands() -> None:
    """Under 60 lines, and the first block holds `make quickstart` and `make test`."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    first = BLOCK.search(text)
    assert first is not None
    assert [line.split("#")[0].strip() for line in first["text"].splitlines()] == ["make quickstart", "make test"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_examples(command: str) -> None:
    """`forgeml COMMAND --help` has at least one example that begins with that command."""
    assert f"\n    forgeml {command}" in forgeml(command, "--help").stdout


def test_ci_runs_the_readme_test_command() -> None:
    """`.ci/run` calls what the README tells people to call."""
    assert "make test" in (REPOSITORY / ".ci" / "run").read_text()
    assert subprocess.run(["bash", "-n", str(REPOSITORY / ".ci" / "run")], check=False).returncode == 0
