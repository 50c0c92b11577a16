"""ForgeML by its front door: a configuration, `forgeml.train`, and a listener for the steps.

python -m training.peer_forgeml JOB
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import forgeml
from forgeml.config.schema import Config
from forgeml.events import Event, StepReport
from training.job import EPOCHS, Job, read_job, write_result
from training.stopwatch import Stopwatch

NOT_A_STEP = 10**9


def main(job: Job) -> None:
    """Train once; ForgeML scores the saved model in any case."""
    timing = Timing(Stopwatch(job))
    result = forgeml.train(Config.model_validate(configuration(job)), timing)
    told = {"precision": precision(result.folder), "first_loss": timing.first_loss}
    if job.scored:
        told["accuracy"] = result.metrics["validation"]["accuracy"]
    write_result(job, {**timing.watch.figures(), **told})


def configuration(job: Job) -> dict[str, Any]:
    """What the Trainer's arguments say; nothing is logged, scored or saved before the last step is done."""
    return {
        "model": {"name": job.model, "max_length": job.max_length},
        "data": {
            "dataset": {"train": job.train, "validation": job.validation},
            "task": "single_label",
            "text_column": "text",
            "label_column": "label",
        },
        "training": {
            "batch_size": job.batch_size,
            "num_epochs": EPOCHS,
            "learning_rate": job.learning_rate,
            "schedule": "linear",
            "warmup_steps": 0,
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
            "seed": job.seed,
            "precision": job.precision,
            "device": job.device,
        },
        "logging": {"log_interval": NOT_A_STEP, "eval_interval": NOT_A_STEP},
        "mlflow": {"tracking_uri": f"sqlite:///{job.folder}/mlflow.db"},
        "output_dir": job.folder,
    }


def precision(folder: str) -> str:
    """What `auto` was found to be."""
    found: str = json.loads(Path(folder, "forgeml.json").read_text(encoding="utf-8"))["runtime"]["precision"]
    return found


class Timing:
    """Starts and stops the watch, and keeps the loss of the first step."""

    def __init__(self, watch: Stopwatch) -> None:
        """Hold the watch."""
        self.watch, self.first_loss = watch, float("nan")
        self._examples = 0

    def __call__(self, event: Event) -> None:
        """Steps are told once they are done, with the time that each took; the last word before is no step."""
        if not isinstance(event, StepReport):
            if not self._examples:
                self.watch.start()
            return
        self._examples += event.examples
        if event.step == 1:
            self.first_loss = event.loss
            self.watch.first_step_took(event.seconds)
        if event.step == event.total_steps:
            self.watch.stop(self._examples)


if __name__ == "__main__":
    main(read_job())
