"""A run that was cut short and goes on ends with the bytes of one that was not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from forgeml.config.schema import Config
from forgeml.errors import MachineError
from forgeml.events import Evaluation, Event, StepReport
from forgeml.training.fine_tune import Surroundings, fine_tune
from forgeml.training.keeping.learner_state import put_back
from forgeml.training.materials import gather
from forgeml.training.outputs import Outputs
from forgeml.training.preparing import prepare

STEPS = 14
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bf16": {"precision": "bf16"},
    "padded": {"packing": "off"},
    "accumulated": {"gradient_accumulation_steps": 2, "batch_size": 8},
    "patience": {"patience": 1, "learning_rate": 1e-7},
    "layers": {"layer_decay": 0.5, "schedule": "cosine"},
    "lora": {"lora_rank": 2},
    "frozen": {"freeze_layers": 1, "precision": "bf16"},
    "averaged": {"average_last": 2},
    "averaged with patience": {"average_last": 2, "patience": 5},
}


class Nobody:
    """Stands where the tracker is."""

    state: Mapping[str, Any] = {}

    def log_step(self, report: StepReport, examples_per_second: float) -> None:
        """Pass over it."""

    def log_evaluation(self, evaluation: Evaluation, prefix: str = "") -> None:
        """Pass over it."""


def _config(settings: dict[str, Any], folder: Path, name: str) -> Config:
    training = {**settings["training"], "num_epochs": 2, "batch_size": 16, **SETTINGS[name]}
    logging = {"eval_interval": 4, "save_interval": 3}
    return Config.model_validate({**settings, "training": training, "logging": logging, "output_dir": str(folder)})


def _run(config: Config, stop: type[Event] | None = None, at: int = 0) -> tuple[str, list[Event]]:
    """Go on from what there is, and stop when such an event of this step is told; the hash of the best model so far."""
    told: list[Event] = []

    def tell(event: Event) -> None:
        told.append(event)
        if stop and isinstance(event, stop) and getattr(event, "step", None) == at:
            raise KeyboardInterrupt

    outputs = Outputs(config.output_dir)
    checkpoint, damaged = outputs.checkpoints.newest()
    assert damaged == ()
    around = Surroundings(Nobody(), outputs, tell, {})  # type: ignore[arg-type]
    fine_tune(config, gather(config, lambda event: None), around, checkpoint)
    weights = (outputs.prepared / "model.safetensors").read_bytes()
    outputs.clean()
    return hashlib.sha256(weights).hexdigest(), told


@pytest.mark.parametrize("name", SETTINGS)
def test_run_that_goes_on_ends_with_the_same_bytes(name: str, tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """Stopped after a step, then after an evaluation, then after a step again: each time from where it was."""
    whole, told = _run(_config(tiny_settings, tmp_path / "whole", name))
    config = _config(tiny_settings, tmp_path / "parts", name)
    last = max(event.step for event in told if isinstance(event, StepReport))
    with pytest.raises(KeyboardInterrupt):
        _run(config, StepReport, 5)
    with pytest.raises(KeyboardInterrupt):
        _run(config, Evaluation, 8)
    if last > 8:
        with pytest.raises(KeyboardInterrupt):
            _run(config, StepReport, 11)
    again, more = _run(config)
    assert again == whole
    assert [event.step for event in more if isinstance(event, StepReport)][-1:] in ([last], [])


def test_checkpoint_of_another_model_is_refused(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """Weights that are not there are told, not passed over."""
    config = _config(tiny_settings, tmp_path, "plain")
    materials = gather(config, lambda event: None)
    learner, _ = prepare(config.training, materials)
    with pytest.raises(MachineError, match="does not fit this model"):
        put_back(learner, materials.model, 3, {}, {"learning_rates": [1.0, 1.0], "scaler": None})
