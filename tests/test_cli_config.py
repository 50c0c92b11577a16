"""`forgeml config`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import forgeml
from conftest import REPOSITORY
from forgeml.config.loading import load_config

CONFIG = REPOSITORY / "config.yaml"


def test_resolved_configuration_loads_to_the_same() -> None:
    """What is printed is a file that means the same, overrides included."""
    answer = forgeml("config", CONFIG, "--training.num_epochs", "7")
    Path("again.yaml").write_text(answer.stdout)
    assert load_config("again.yaml") == load_config(CONFIG, [("training.num_epochs", "7")])


def test_json_has_every_setting() -> None:
    """`--json` prints one document."""
    resolved = json.loads(forgeml("config", CONFIG, "--json").stdout)
    assert resolved == load_config(CONFIG).model_dump()


def test_schema_is_a_json_schema() -> None:
    """`--schema` needs no file and describes the sections."""
    schema = json.loads(forgeml("config", "--schema").stdout)
    sections = {"model", "data", "training", "mlflow", "logging"}
    assert schema["properties"].keys() == {*sections, "output_dir", "on_existing_model"}


def test_problems_come_all_at_once() -> None:
    """Several mistakes in file and options are told together, with exit code 2 and nothing on stdout."""
    Path("bad.yaml").write_text("model:\n  nam: x\ndata:\n  dataset: y\ntraining:\n  batch_size: 0\n")
    answer = forgeml("config", "bad.yaml", "--training.seed", "x")
    assert answer.returncode == 2
    assert answer.stdout == ""
    for place in ("bad.yaml:2 model.nam:", "bad.yaml:6 training.batch_size:", "--training.seed:"):
        assert place in answer.stderr


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_passwords_are_not_shown(form: list[str]) -> None:
    """What is printed may end in a log."""
    answer = forgeml("config", "--mlflow.tracking_uri", "postgresql://me:p@ss/word@host/db", CONFIG, *form)
    assert answer.returncode == 0, answer.stderr
    assert f"postgresql://{'*' * 12}@host/db" in answer.stdout
    assert "word" not in answer.stdout
