"""What happens between the steps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forgeml.config.schema import Config
from forgeml.events import Evaluation, Event, StepReport
from forgeml.training.fine_tune import Surroundings, fine_tune
from forgeml.training.materials import gather
from forgeml.training.outputs import Outputs


class Recorder:
    """Stands where the tracker is, and keeps the steps at which it was told something."""

    state: Mapping[str, Any] = {}

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.evaluations: list[int | None] = []

    def log_step(self, report: StepReport, examples_per_second: float) -> None:
        """Keep the step."""
        assert examples_per_second > 0
        self.steps.append(report.step)

    def log_evaluation(self, evaluation: Evaluation, prefix: str = "") -> None:
        """Keep the evaluation."""
        self.evaluations.append(evaluation.step)


def _fine_tuned(settings: dict[str, Any], folder: Path, **changes: Any) -> tuple[Recorder, Evaluation, int]:
    config = Config.model_validate({**settings, **changes, "output_dir": str(folder)})
    recorder, outputs = Recorder(), Outputs(config.output_dir)
    around = Surroundings(recorder, outputs, _ignore, {})  # type: ignore[arg-type]
    best, steps = fine_tune(config, gather(config, _ignore), around)
    assert (outputs.prepared / "model.safetensors").is_file()
    return recorder, best, steps


def _ignore(event: Event) -> None:
    """Nobody watches."""


def test_intervals_are_kept(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """Steps are logged and evaluated at their intervals, and at the end in any case."""
    training = {**tiny_settings["training"], "num_epochs": 1}
    logging = {"log_interval": 4, "eval_interval": 6}
    recorder, best, steps = _fine_tuned(tiny_settings, tmp_path, training=training, logging=logging)
    assert recorder.steps == [4, 8, 12, 14]
    assert recorder.evaluations == [6, 12, 14]
    assert steps == 14
    assert best.step in recorder.evaluations


def test_step_at_which_patience_ends_the_run_is_logged(tiny_settings: dict[str, Any], tmp_path: Path) -> None:
    """The record reaches to the last step, also when it comes early."""
    training = {**tiny_settings["training"], "learning_rate": 1e-7, "patience": 1}
    logging = {"log_interval": 100, "eval_interval": 3}
    recorder, best, steps = _fine_tuned(tiny_settings, tmp_path, training=training, logging=logging)
    assert (best.step, steps, recorder.steps) == (3, 6, [6])
