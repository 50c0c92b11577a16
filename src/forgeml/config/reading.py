"""Read YAML 1.2 into plain values, and remember the line of every key.

The parser's events are walked here instead of letting the library build the values: so every key has a line, nothing
is built that a bomb could blow up, and words such as `no` or `2024-01-01` stay words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from forgeml.config.opening import hide_secrets, read_text
from forgeml.errors import ConfigError, Problem

KeyPath = tuple[str, ...]

MAX_DEPTH = 20
MAX_NODES = 10_000

SMALLEST = """
    model:
      name: distilbert-base-uncased
    data:
      dataset: imdb"""

# Scalars without quotes, as the core schema of YAML 1.2 has them. More than 40 digits are no count of anything.
_SCALARS: tuple[tuple[str, Callable[[str], Any]], ...] = (
    (r"|~|null|Null|NULL", lambda text: None),
    (r"true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true"),
    (r"[-+]?[0-9]{1,40}", int),
    (r"0o[0-7]{1,40}", lambda text: int(text, 8)),
    (r"0x[0-9a-fA-F]{1,40}", lambda text: int(text, 16)),
    (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", float),
    (r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", lambda text: float(text.replace(".", ""))),
)

# What the parser says, what it means, what mends it, and whether the cause is where the construct began.
_SYNTAX: tuple[tuple[str, str, str, bool], ...] = (
    (r"'\t'", "a tab is used for indentation", "use spaces instead of the tab, two for each level", False),
    ("mapping values are not", "no colon is expected here", "put the value in quotes, or mend the indentation", False),
    ("unexpected end of stream", "a quote is opened here and never closed", "close the quote", True),
    (
        "expected <block end>",
        "this does not line up with the lines above",
        "start keys of a section in one column",
        False,
    ),
    (
        "unknown escape character",
        "a backslash in double quotes starts an escape, and this is none",
        "use single quotes, in which a backslash is only a backslash",
        False,
    ),
    ("expected ':'", "a colon is missing after this key", "write `key: value`", True),
    ("expected ',' or", "a bracket is opened here and not closed", "close the bracket", True),
    ("cannot start any token", "no value can start with this character", "put the value in quotes", False),
)


@dataclass(frozen=True)
class Document:
    """What a YAML file holds."""

    values: dict[str, Any]
    lines: Mapping[KeyPath, int]
    """Line of each key, counted from 1."""
    problems: tuple[Problem, ...]
    """What is wrong in a way that did not keep the rest from being read."""


def read_yaml(path: Path) -> Document:
    """Read a YAML 1.2 file whose top is a mapping.

    Raises:
        ConfigError: There is nothing to go on with: no such file, no text, no YAML, empty, or no mapping.
    """
    text = read_text(path)
    walk = _Walk(text, str(path))
    values = walk.document()
    if values is None and not walk.problems:
        raise ConfigError.at(str(path), f"{path.name} is empty", f"write at least:{SMALLEST}")
    if not isinstance(values, dict):
        found = "a list" if isinstance(values, list) else "a single value"
        wrong = Problem(str(path), f"a mapping is wanted, found {found}", f"write at least:{SMALLEST}")
        raise ConfigError([*walk.problems, wrong])
    return Document(values, walk.lines, tuple(walk.problems))


def parse_value(text: str) -> Any:  # noqa: ANN401 - a value may be anything until it is validated
    """The value that a file would have for this text; what is no value in quotes or brackets is the plain text."""
    stripped = text.strip()
    if not stripped.startswith(('"', "'", "[", "{")):
        return _resolve(stripped)
    walk = _Walk(stripped, "")
    try:
        value = walk.document()
    except ConfigError:
        return text
    in_brackets = stripped.startswith("{") == isinstance(value, dict)
    return value if in_brackets and not walk.problems else text


def _resolve(text: str) -> Any:  # noqa: ANN401
    for pattern, convert in _SCALARS:
        if re.fullmatch(pattern, text):
            return convert(text)
    return text


class _Walk:
    """One pass over the events of a text."""

    def __init__(self, text: str, name: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []
        self._text = text
        self._name = name
        self._nodes = 0
        self._events = self._parse()

    def document(self) -> Any:  # noqa: ANN401
        """The values of the only document, None when there is none."""
        next(self._events)
        if isinstance(next(self._events), StreamEndEvent):
            return None
        value = self._node(next(self._events), ())
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                self._report(event, (), "a second document starts here", "keep one document, delete the `---` line")
                break
        return value

    def _parse(self) -> Iterator[Any]:
        try:
            yield from YAML(typ="safe", pure=True).parse(self._text)
        except YAMLError as error:
            raise ConfigError([*self.problems, _syntax_problem(error, self._text, self._name)]) from error

    def _node(self, event: NodeEvent, path: KeyPath) -> Any:  # noqa: ANN401
        self._check(event, path)
        if isinstance(event, MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        if isinstance(event, ScalarEvent):
            return _resolve(event.value) if event.style is None else event.value
        return None

    def _check(self, event: Any, path: KeyPath) -> None:  # noqa: ANN401
        self._nodes += 1
        if len(path) > MAX_DEPTH or self._nodes > MAX_NODES:
            limit = f"more than {MAX_DEPTH} levels deep" if len(path) > MAX_DEPTH else f"more than {MAX_NODES:,} values"
            where = f"{self._name}:{event.start_mark.line + 1}"
            raise ConfigError.at(where, f"the file is {limit}", "settings need two levels: a section and its keys")
        if isinstance(event, AliasEvent):
            self._report(event, path, f"aliases are not allowed, found *{event.anchor}", "write the value out")
        elif event.anchor is not None:
            self._report(event, path, f"anchors are not allowed, found &{event.anchor}", "delete it, keep the value")
        if getattr(event, "tag", None) is not None:
            self._report(event, path, f"tags are not allowed, found {event.tag}", "delete the tag, keep the value")

    def _sequence(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            inner = (*path, str(len(items)))
            self.lines.setdefault(inner, event.start_mark.line + 1)
            items.append(self._node(event, inner))
        return items

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event, path)
            inner = (*path, "?" if key is None else key)
            repeated = key in found
            if repeated:
                first, again = self.lines[inner], event.start_mark.line + 1
                self._report(event, inner, f"is there twice, on line {first} and on line {again}", "delete one of them")
            self.lines.setdefault(inner, event.start_mark.line + 1)
            value = self._node(next(self._events), inner)
            if key is not None and not repeated:
                found[key] = value
        return found

    def _key(self, event: NodeEvent, path: KeyPath) -> str | None:
        """The name that a mapping's key gives; None, and a problem, when it is no text."""
        key = self._node(event, (*path, "?"))
        if isinstance(key, str):
            return key
        shown = event.value if isinstance(event, ScalarEvent) else "a list, a mapping or an alias"
        self._report(event, path, f"a key must be a word, found {shown or 'nothing'}", "use the name of a setting")
        return None

    def _report(self, event: Any, path: KeyPath, what: str, fix: str) -> None:  # noqa: ANN401
        where = f"{self._name}:{event.start_mark.line + 1} {'.'.join(path)}".rstrip()
        self.problems.append(Problem(hide_secrets(where), hide_secrets(what), fix))


def _syntax_problem(error: YAMLError, text: str, name: str) -> Problem:
    if not isinstance(error, MarkedYAMLError):
        place = getattr(error, "position", 0)
        what = f"a character that no text file should hold, {text[place : place + 1]!a}"
        return Problem(f"{name}:{text.count(chr(10), 0, place) + 1}", what, "delete the character")
    said = error.problem or "this is no YAML"
    known = [row for row in _SYNTAX if row[0] in said]
    _, what, fix, at_start = known[0] if known else ("", said, "put a value with special characters in quotes", False)
    mark = error.context_mark if at_start and error.context_mark else error.problem_mark or error.context_mark
    if mark is None:
        return Problem(name, what, fix)
    shown = _show(text, mark.line, mark.column)
    return Problem(f"{name}:{mark.line + 1}", f"column {mark.column + 1}: {what}{shown}", fix)


def _show(text: str, line: int, column: int) -> str:
    """The line with a caret under the column, cut to what fits on a screen."""
    lines = text.split("\n")
    if line >= len(lines):
        return ""
    start = max(0, column - 60)
    part = hide_secrets(lines[line])[start : start + 100].replace("\t", " ")
    return f"\n    {part}\n    {' ' * (column - start)}^"
