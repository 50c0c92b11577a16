"""Messages of the validation in plain words."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgeml.config.loading import flatten, load_config
from forgeml.errors import ConfigError

HEAD = "model:\n  name: a\ndata:\n  dataset: b\n"


@pytest.mark.parametrize(
    ("line", "what", "fix"),
    [
        ('learning_rate: "0.1"', "found the text", "without quotes"),
        ("batch_size: true", "a whole number is wanted", "at least 1"),
        ("num_epochs: 1.5", "a whole number is wanted", "whole number"),
        ("schedule: linaer", "linaer", "linear"),
        ("device: gpu", "gpu", "auto"),
    ],
)
def test_value_of_the_wrong_kind(line: str, what: str, fix: str) -> None:
    """The message says what was found and wanted, the fix what to write."""
    Path("config.yaml").write_text(f"{HEAD}training:\n  {line}\n")
    with pytest.raises(ConfigError) as caught:
        load_config("config.yaml")
    (problem,) = caught.value.problems
    assert problem.where == f"config.yaml:6 training.{line.split(':')[0]}"
    assert what in problem.what
    assert fix in problem.fix


PARTS = {
    "number in a mapping": (
        "dataset: {train: a.csv, test: 7}",
        ["5 data.dataset.test: the value of test must be a text, found the number 7", 'in quotes: "7"'],
    ),
    "number on its own line": (
        "dataset:\n    train: a.csv\n    test: 7",
        ["7 data.dataset.test: the value of test must be a text, found the number 7"],
    ),
    "nothing in a mapping": (
        "dataset: {train: }",
        ["5 data.dataset.train: the value of train must be a text, found n"],
    ),
    "empty text in a mapping": ("dataset: {train: ''}", ["5 data.dataset.train: the value of train must not be empty"]),
    "list in a mapping": ("dataset: {train: [a]}", ["the value of train must be a text, found a list"]),
    "empty key": ("dataset: {'': a.csv}", ["5 data.dataset: a key must not be empty", "such as train"]),
    "two in a mapping": ("dataset: {a: 1, b: 2}", ["data.dataset.a: the value of a", "data.dataset.b: the value of b"]),
    "empty mapping": ("dataset: {}", ["5 data.dataset: must not be empty"]),
    "neither text nor mapping": ("dataset: [a]", ["5 data.dataset: a text or a mapping of texts is wanted, found a l"]),
    "number for a data set": ("dataset: 7", ["a text or a mapping of texts is wanted, found the number 7", '"7"']),
    "number in a list": (
        "text_column: [a, 3]",
        ["5 data.text_column.1: value 2 of the list must be a text, found the number 3", 'in quotes: "3"'],
    ),
    "empty text in a list": ("text_column: ['']", ["value 1 of the list must not be empty"]),
    "empty list": ("text_column: []", ["5 data.text_column: must not be empty"]),
    "neither text nor list": ("text_column: {a: b}", ["a text or a list of texts is wanted, found a mapping"]),
    "number for a column": ("text_column: 3", ["a text or a list of texts is wanted, found the number 3", '"3"']),
}


@pytest.mark.parametrize("case", PARTS)
def test_the_part_that_is_wrong_is_named(case: str) -> None:
    """In a setting that takes a list or a mapping the message is about the part that does not fit, at its own line."""
    line, parts = PARTS[case]
    dataset = "" if line.startswith("dataset") else "  dataset: b\n"
    Path("config.yaml").write_text(f"model:\n  name: a\n\ndata:\n  {line}\n{dataset}")
    with pytest.raises(ConfigError) as caught:
        load_config("config.yaml")
    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert message.count("is wanted, found") + message.count("must ") == len(caught.value.problems)


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("data.dataset", "{train: a.csv, test: b.csv}", {"train": "a.csv", "test": "b.csv"}),
        ("data.dataset", "2024", "2024"),
        ("data.dataset", "{a", "{a"),
        ("data.text_column", "[title, content]", ["title", "content"]),
        ("data.text_column", "2024", "2024"),
        ("data.text_column", "'[title]'", "[title]"),
        ("data.label_column", "{a: b}", "{a: b}"),
        ("output_dir", "[a]", "[a]"),
    ],
)
def test_options_are_mappings_and_lists_where_they_are_taken(option: str, text: str, value: object) -> None:
    """On the command line brackets make a mapping or list of a setting that takes one; all else stays text."""
    Path("config.yaml").write_text(HEAD)
    assert flatten(load_config("config.yaml", [(option, text)]))[option] == value


def test_wrong_part_of_an_option_is_named() -> None:
    """The message is the one of the file, at the option."""
    Path("config.yaml").write_text(HEAD)
    with pytest.raises(ConfigError, match=r"--data\.dataset: the value of test must be a text, found the number 7"):
        load_config("config.yaml", [("data.dataset", "{train: a.csv, test: 7}")])
