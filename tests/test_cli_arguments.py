"""The configuration file among the arguments."""

from __future__ import annotations

import pytest

from forgeml.cli.arguments import split_arguments, split_names
from forgeml.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, ("config.yaml", [])),
        (["my.yaml"], ("my.yaml", [])),
        (["--training.seed", "1"], ("config.yaml", ["--training.seed", "1"])),
        (["my.yaml", "--training.seed=1"], ("my.yaml", ["--training.seed=1"])),
        (["--training.seed", "1", "my.yaml"], ("my.yaml", ["--training.seed", "1"])),
        (["--a", "1", "my.yaml", "--b=2", "--c", "-3"], ("my.yaml", ["--a", "1", "--b=2", "--c", "-3"])),
        (["--a=1", "my.yaml"], ("my.yaml", ["--a=1"])),
        (["--a", "--b", "1"], ("config.yaml", ["--a", "--b", "1"])),
        (["-x"], ("config.yaml", ["-x"])),
    ],
)
def test_file_is_what_is_no_setting(given: list[str] | None, wanted: tuple[str, list[str]]) -> None:
    """What is neither an option nor the value of one is the file, wherever it stands; else it is config.yaml."""
    assert split_arguments(given) == wanted


def test_two_files_are_refused() -> None:
    """The second one is named, and so is the first; a token among them is not shown."""
    token = "hf_" + "a" * 24
    with pytest.raises(ConfigError, match=r"unexpected argument; the configuration file is a\.yaml") as caught:
        split_arguments(["a.yaml", "--training.seed", "1", token])
    assert token not in str(caught.value)
    assert "--section.key value" in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        ["m", "d", "--data.encoding", "cp1252"],
        ["--data.encoding", "cp1252", "m", "d"],
        ["m", "--data.encoding", "cp1252", "d"],
    ],
)
def test_names_may_stand_anywhere(given: list[str]) -> None:
    """What is neither an option nor the value of one is a name, in the order given."""
    assert split_names(given, ["MODEL", "DATA"]) == (["m", "d"], ["--data.encoding", "cp1252"])


@pytest.mark.parametrize(
    ("given", "says"), [(["m"], "DATA: is missing"), (["m", "d", "x"], "x: unexpected argument"), ([], "MODEL: is")]
)
def test_names_are_as_many_as_wanted(given: list[str], says: str) -> None:
    """One that is missing is named as the help has it, and one too many by itself."""
    with pytest.raises(ConfigError, match=says) as caught:
        split_names(given, ["MODEL", "DATA"])
    assert "--data.encoding cp1252" in str(caught.value)
