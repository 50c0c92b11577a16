"""Checkpoints in the doctor's report."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from doctoring import findings, states, wrong
from forgeml.events import Event
from forgeml.training.keeping.checkpoints import Checkpoints
from forgeml.training.lock import locked
from refusals import snapshot


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """An output folder with two checkpoints."""
    checkpoints = Checkpoints(tmp_path / "checkpoints", 2)
    for step in (100, 200):
        checkpoints.write(step, {"step": step}, {"weight": torch.ones(1000)}, None)
    return tmp_path


def test_none_is_fine(tmp_path: Path) -> None:
    """No run waits to go on."""
    [one] = findings("checkpoints", tmp_path)
    assert (one.state, one.facts) == ("ok", {"steps": []})


def test_whole_ones_are_where_a_run_goes_on(output: Path) -> None:
    """They are listed with their steps and their size, and nothing is changed."""
    before, told = snapshot(output), list[Event]()
    [one] = findings("checkpoints", output, told=told)
    assert (one.state, one.facts["steps"]) == ("ok", [100, 200])
    assert one.text.startswith("step 100, step 200, ")
    assert one.facts["bytes"] > 8000
    assert snapshot(output) == before
    assert len(told) == 2


@pytest.mark.parametrize("fast", [False, True])
def test_damage_is_found(output: Path, fast: bool) -> None:
    """A flipped byte is found by reading; in haste only what was never finished is."""
    file = output / "checkpoints" / "step-200" / "tensors.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    (output / "checkpoints" / "step-100" / "checkpoint.json").unlink()
    found = findings("checkpoints", output, fast=fast)
    assert states(found) == (["warning", "ok"] if fast else ["warning", "warning"])
    assert "step-100 is damaged: checkpoint.json is missing" in found[0].text
    assert ("another SHA-256" in found[1].text) is not fast


def test_halves_are_told(output: Path) -> None:
    """What was being written when a training was killed."""
    (output / "checkpoints" / "step-300.new").mkdir()
    (output / "checkpoints" / "notes.txt").write_text("mine")
    one = wrong(findings("checkpoints", output))
    assert one.text.startswith("step-300.new was being written or removed when a training was killed")


def test_those_of_a_training_that_runs_are_left_alone(output: Path) -> None:
    """It may be writing one just now."""
    (output / "checkpoints" / "step-300.new").mkdir()
    with locked(str(output)):
        [one] = findings("checkpoints", output)
    assert (one.state, "of the training that runs" in one.text) == ("ok", True)
