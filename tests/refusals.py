"""Command lines run in this process: what they say, and whether they leave the disk as it was."""

from __future__ import annotations

import ast
import hashlib
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import REPOSITORY
from forgeml.cli import main as door


@dataclass(frozen=True)
class Answer:
    """What a command line ended with."""

    code: int
    out: str
    err: str


def answer_of(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Answer:
    """Run `forgeml` with these arguments in this process."""
    capsys.readouterr()
    code = door.run([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return Answer(code, said.out, said.err)


def refusal_of(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str | Path) -> Answer:
    """Run a command line that is to be refused in the words for people, with nothing changed below the folder."""
    before = snapshot(folder)
    answer = answer_of(capsys, *arguments)
    assert snapshot(folder) == before
    assert answer.out == ""
    assert "Traceback" not in answer.err
    assert "a bug" not in answer.err
    assert "\n  fix: " in answer.err, answer.err
    return answer


def assert_says(text: str, parts: Iterable[str]) -> None:
    """See that each part is in the text."""
    for part in parts:
        assert part in text, f"{part!r} is not in:\n{text}"


def snapshot(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below the folder, and the kind of whatever else is there."""
    return {str(path.relative_to(folder)): _content(path) for path in sorted(folder.rglob("*"))}


def _content(path: Path) -> str:
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode):
        return f"{stat.S_IFMT(mode):o}"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def assert_all_rows(
    letter: str, count: int, here: Iterable[str], elsewhere: Mapping[str, str], without: Mapping[str, str]
) -> None:
    """See that every row of a catalogue is tested here or elsewhere, or that there is a reason why not.

    Args:
        letter: what the rows' ids begin with.
        count: how many rows there are.
        here: ids of the tests here; each begins with the id of its row.
        elsewhere: by row, `tests/file.py::test_name`.
        without: by row, the reason.
    """
    tested = {re.match(r"[A-Z]\d\d", name).group() for name in here}  # type: ignore[union-attr]
    known = {f"{letter}{number:02}" for number in range(1, count + 1)}
    assert tested | elsewhere.keys() | without.keys() == known
    assert not tested & without.keys()
    assert all(without.values())
    for place in elsewhere.values():
        file, name = place.split("::")
        tree = ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, place
