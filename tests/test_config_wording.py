"""Messages of the validation in plain words."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgeml.config.loading import load_config
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
