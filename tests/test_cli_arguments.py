"""The configuration file among the arguments."""

from __future__ import annotations

import pytest

from forgeml.cli.arguments import split_arguments


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, ("config.yaml", [])),
        (["my.yaml"], ("my.yaml", [])),
        (["--training.seed", "1"], ("config.yaml", ["--training.seed", "1"])),
        (["my.yaml", "--training.seed=1"], ("my.yaml", ["--training.seed=1"])),
    ],
)
def test_file_comes_first_or_not_at_all(given: list[str] | None, wanted: tuple[str, list[str]]) -> None:
    """A first argument without dashes is the file; else it is config.yaml."""
    assert split_arguments(given) == wanted
