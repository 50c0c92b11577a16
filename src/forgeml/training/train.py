"""The run as a story: configuration, model, data, fine-tuning, result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from forgeml.config.loading import flatten
from forgeml.config.schema import Config
from forgeml.errors import Stopped
from forgeml.events import Note, TrainingResult
from forgeml.machine import memory_errors, versions
from forgeml.records import Manifest
from forgeml.training import story
from forgeml.training.fine_tune import fine_tune
from forgeml.training.materials import Materials, Tell, gather
from forgeml.training.outputs import Outputs
from forgeml.training.result import Scored, manifest, resolved, score_saved
from forgeml.training.tracking import Tracker


def train(config: Config, tell: Tell = lambda event: None) -> TrainingResult:
    """Fine-tune the configured model on the configured data and save the best one in `best_model/`.

    Args:
        config: the resolved configuration.
        tell: is given notes, progress, steps and evaluations as they happen.

    Raises:
        ForgeError: of the kind that says whose move mends it: configuration, data, model, machine, hub or training.
    """
    started = time.monotonic()
    outputs = Outputs(config.output_dir)
    materials = gather(config, tell)
    outputs.check_room(materials.model, config.logging.save_interval is not None)
    tracker = Tracker(config.mlflow, lambda reason: tell(Note("tracking", reason, warning=True)))
    short_of_memory = memory_errors(*story.memory(config.training, materials.cut.max_length))
    with tracker.running(), _tidy(outputs, manifest(config, materials, Scored()), tell), short_of_memory:
        _track_start(tracker, config, materials)
        best, steps = fine_tune(config, materials, tracker, outputs, tell)
        scored = score_saved(outputs, materials, tracker, tell)
        outputs.publish(manifest(config, materials, scored))
        tracker.log_model(outputs.best, versions(), materials.splits.columns["text_pair_column"] is not None)
    result = TrainingResult(
        folder=str(outputs.best),
        metrics=scored.metrics,
        best_step=best.step or 0,
        steps=steps,
        seconds=time.monotonic() - started,
        run_id=tracker.run_id or None,
        model_id=tracker.model_id or None,
    )
    tell(result)
    return result


def _track_start(tracker: Tracker, config: Config, materials: Materials) -> None:
    splits, runtime, pretrained = materials.splits, materials.runtime, materials.pretrained
    tracker.log_settings(flatten(resolved(config, materials)))
    tracker.log_data(materials.source.name, splits.fingerprint, {part.name: len(part) for part in splits.parts()})
    facts = {"device": runtime.device, "precision": runtime.precision, "model": pretrained.name, "task": splits.task}
    tracker.log_facts({**facts, "model_commit": pretrained.commit or "local folder"})


@contextmanager
def _tidy(outputs: Outputs, unscored: Manifest, tell: Tell) -> Iterator[None]:
    """Leave nothing half done: a stopped run keeps its best model so far, a failed one nothing."""
    try:
        yield
    except (KeyboardInterrupt, Stopped):
        kept = outputs.keep_after_stop(unscored)
        if kept:
            tell(Note("stopped", f"the best model so far is in {kept}", warning=True))
        raise
    finally:
        outputs.clean()
