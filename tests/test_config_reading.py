from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from forgeml.config import reading
from forgeml.config.reading import Document, parse_value, read_yaml
from forgeml.errors import ConfigError

TOKEN = "hf_" + "a1B2" * 8


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "config.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(folder: Path, content: str | bytes) -> Document:
    return read_yaml(write(folder, content))


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    return str(caught.value)


SCALARS: list[tuple[str, Any]] = [
    ("2e-5", 2e-5),
    ("1e-5", 1e-5),
    ("1E5", 1e5),
    ("-.5", -0.5),
    ("3.", 3.0),
    ("010", 10),
    ("0o10", 8),
    ("0x1F", 31),
    ("-3", -3),
    ("true", True),
    ("False", False),
    ("null", None),
    ("~", None),
    ("no", "no"),
    ("yes", "yes"),
    ("on", "on"),
    ("off", "off"),
    ("2024-01-01", "2024-01-01"),
    ("1:30", "1:30"),
    ("1_000", "1_000"),
    ("1,000", "1,000"),
    ("0b1", "0b1"),
    ("train[:5000]", "train[:5000]"),
    ("'0.1'", "0.1"),
    ('"no"', "no"),
    ("9" * 5000, float("inf")),
]


@pytest.mark.parametrize(("text", "value"), SCALARS, ids=[text[:12] for text, _ in SCALARS])
def test_scalars_follow_the_core_schema(tmp_path: Path, text: str, value: object) -> None:
    """A scalar means what YAML 1.2 says, the same in a file and on the command line."""
    for found in (read(tmp_path, f"key: {text}\n").values["key"], parse_value(text)):
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "a: b",
        "{a: b",
        "{a: b} c",
        "{{ a }}",
        "{a: *b}",
        "[a",
        '"a',
        "http: //x",
        "# a",
        "!x a",
        "&a b",
        "*a",
        '"a" b',
        "- a",
        "---",
        "[" * 2000,
    ],
)
def test_what_is_no_single_value_is_taken_as_the_text(text: str) -> None:
    """An override's text that is no YAML, or would be a mapping without brackets, stands for itself."""
    assert parse_value(text) == text


def test_override_values_may_be_lists_and_mappings_and_keep_hashes() -> None:
    """What stands in brackets is read as such, and a # in an unquoted text is part of it."""
    assert parse_value("[no, 1, 2e-5]") == ["no", 1, 2e-5]
    assert parse_value(" {train: a.csv, test: 'b: c.csv'} ") == {"train": "a.csv", "test": "b: c.csv"}
    assert parse_value("{}") == {}
    assert parse_value("my #1 file.csv") == "my #1 file.csv"


def test_lists_of_words_stay_words(tmp_path: Path) -> None:
    """No word in a list turns into a boolean."""
    assert read(tmp_path, "labels: [no, yes, on]\n").values == {"labels": ["no", "yes", "on"]}


def test_every_key_has_its_line(tmp_path: Path) -> None:
    """Lines are counted from 1, at every level."""
    found = read(tmp_path, "# first\nmodel:\n  name: m\n\ndata: {dataset: d}\nlist:\n- a\n- b: c\n")
    assert found.lines == {
        ("model",): 2,
        ("model", "name"): 3,
        ("data",): 5,
        ("data", "dataset"): 5,
        ("list",): 6,
        ("list", "0"): 7,
        ("list", "1"): 8,
        ("list", "1", "b"): 8,
    }


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfa: 1\nb: 2\n", b"a: 1\r\nb: 2\r\n", b"a: 1\rb: 2", b"---\na: 1\nb: 2\n...\n"]
)
def test_marks_and_line_ends_are_no_matter(tmp_path: Path, content: bytes) -> None:
    """A byte order mark, any line ends and a leading --- read as the same document."""
    found = read(tmp_path, content)
    assert found.values == {"a": 1, "b": 2}
    assert found.problems == ()


# Texts that cannot be read at all: what the message must hold.
BROKEN: dict[str, tuple[str | bytes, list[str]]] = {
    "empty": ("", ["config.yaml is empty", "name: distilbert-base-uncased", "dataset: imdb"]),
    "only comments": ("# a\n\n# b\n", ["config.yaml is empty"]),
    "only a mark": ("---\n", ["config.yaml is empty"]),
    "a list on top": ("- a\n- b\n", ["a mapping is wanted, found a list"]),
    "a text on top": ("hello\n", ["a mapping is wanted, found a single value"]),
    "a tab": ("model:\n\tname: a\n", ["config.yaml:2", "column 1", "tab", "use spaces"]),
    "an open quote": ("a: 1\nb: 'x\nc: 2\n", ["config.yaml:2", "column 4", "never closed", "b: 'x\n       ^"]),
    "an open bracket": ("a: [1, 2\nb: 3\n", ["config.yaml:1", "column 4", "not closed"]),
    "bad indentation": ("a:\n  b: 1\n c: 2\n", ["config.yaml:3", "column 2", "line up", " c: 2\n"]),
    "two colons": ("name: a: b\n", ["config.yaml:1", "column 8", "name: a: b\n           ^"]),
    "a missing colon": ("a: 1\nb\n", ["config.yaml:2", "colon is missing"]),
    "an odd start": ("a: 1\nb: @x\n", ["config.yaml:2", "column 4", "in quotes"]),
    "an escape that is none": (r'a: "C:\Temp"', ["config.yaml:1", "column 8", "a backslash in", "use single quotes"]),
    "a bell": ("a: 1\nb: \a\n", ["config.yaml:2", "delete the character"]),
    "deep brackets": ("a: " + "[" * 2000, ["config.yaml:1", "more than 20 levels"]),
    "deep braces": ("a: " + "{a: " * 2000, ["config.yaml:1", "more than 20 levels"]),
    "many values": ("a: [" + "1," * 20_000 + "]", ["config.yaml:1", "more than 10,000 values"]),
    "UTF-16": ("a: 1\n".encode("utf-16"), ["UTF-16", "byte 0", "UTF-8"]),
    "Latin-1": ("a: 1\nb: é\n".encode("latin-1"), ["config.yaml:2", "byte 8", "0xe9", "UTF-8"]),
    "NUL": (b"a: 1\nb: \0\n", ["config.yaml:2", "byte 8 is NUL"]),
    "1 MB": ("#" * 1_000_001, ["larger than 1,000,000 bytes"]),
    "a token near an error": (f"a: {TOKEN}: b\n", ["config.yaml:1", "column 39"]),
}


@pytest.mark.parametrize(("content", "parts"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_read_is_refused_with_place_and_fix(
    tmp_path: Path, content: str | bytes, parts: list[str]
) -> None:
    """A text that is no usable YAML is refused, with line, column and a fix, showing no token."""
    message = refusal(write(tmp_path, content))
    assert "\n  fix: " in message
    assert TOKEN not in message
    for part in parts:
        assert part in message


# Texts of which the rest can still be read: what the problems must say.
PROBLEMS: dict[str, tuple[str, list[str]]] = {
    "duplicate": ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", ["config.yaml:5 b.c: ", "line 3", "line 5"]),
    "two duplicates": ("a: 1\na: 2\nb: 1\nb: 2\n", ["config.yaml:2 a: ", "config.yaml:4 b: "]),
    "duplicate section": ("a:\n  b: 1\na:\n  c: 1\n", ["config.yaml:3 a: ", "line 1", "line 3"]),
    "anchor and alias": ("a: &x 1\nb: *x\n", ["config.yaml:1 a: anchors", "config.yaml:2 b: aliases"]),
    "self-reference": ("a: &x [*x]\n", ["config.yaml:1 a: anchors", "aliases"]),
    "merge key": ("a: &x {b: 1}\nc:\n  <<: *x\n", ["config.yaml:1 a: anchors", "config.yaml:3 c.<<: aliases"]),
    "tag": ("a: !!python/object:os.system x\n", ["config.yaml:1 a: tags are not allowed"]),
    "tag on a mapping": ("a: !x {b: 1}\n", ["config.yaml:1 a: tags are not allowed, found !x"]),
    "plain tag": ("a: ! 1\n", ["tags are not allowed"]),
    "two documents": ("a: 1\n---\nb: 2\n", ["config.yaml:2: a second document"]),
    "number as key": ("a:\n  1: b\n", ["config.yaml:2 a: a key must be a word, found 1"]),
    "boolean as key": ("true: b\n", ["config.yaml:1: a key must be a word, found true"]),
    "nothing as key": ("? \n", ["config.yaml:1: a key must be a word, found nothing"]),
    "list as key": ("[a, b]: c\n", ["a key must be a word, found a list"]),
    "template": ("a: {{ b }}\n", ["config.yaml:1 a: a key must be a word"]),
}


@pytest.mark.parametrize(("text", "parts"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_is_not_allowed_is_reported_all_together(tmp_path: Path, text: str, parts: list[str]) -> None:
    """What does not keep the rest from being read is collected, each thing with its line and key."""
    write(tmp_path, text)
    problems = "\n".join(str(problem) for problem in read_yaml(Path("config.yaml")).problems)
    for part in parts:
        assert part in problems


def test_alias_bombs_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nested aliases that would stand for a billion values are refused after as many as are written there."""
    rows = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    monkeypatch.setattr(reading, "MAX_NODES", 200)
    assert len(read(tmp_path, "\n".join(rows)).problems) > 10


def test_the_first_of_two_values_stays(tmp_path: Path) -> None:
    """A duplicate does not change what was read, nor its line."""
    found = read(tmp_path, "a: 1\na: 2\n")
    assert found.values == {"a": 1}
    assert found.lines[("a",)] == 1


def test_missing_files_name_the_nearest(tmp_path: Path) -> None:
    """A mistyped name is answered with the file that is there."""
    write(tmp_path, "a: 1\n")
    assert f"did you mean {tmp_path / 'config.yaml'}?" in refusal(tmp_path / "confg.yaml")
    assert "nor does the folder" in refusal(tmp_path / "no" / "config.yaml")


def test_what_is_no_regular_file_is_refused_without_opening_it(tmp_path: Path) -> None:
    """Folders, pipes, devices, broken links and paths through files are told apart."""
    write(tmp_path, "a: 1\n")
    assert f"is a folder, a file is wanted\n  fix: name the file in it: {tmp_path / 'config.yaml'}" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "pipe or a device" in refusal(tmp_path / "pipe")
    assert "pipe or a device" in refusal(Path("/dev/zero"))
    (tmp_path / "link").symlink_to("nowhere.yaml")
    assert "a link to nowhere.yaml, which does not exist" in refusal(tmp_path / "link")
    assert "cannot be read" in refusal(tmp_path / "config.yaml" / "x")
    assert "cannot be read" in refusal(Path("a\0b"))
