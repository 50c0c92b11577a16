"""The run as a story: configuration, model, data, fine-tuning, result."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from forgeml.config.loading import flatten, without_secrets
from forgeml.config.schema import Config
from forgeml.errors import Stopped
from forgeml.model.saved import open_saved
from forgeml.records import Evaluation, Manifest, Note, TrainingResult
from forgeml.runtime import memory_errors, versions
from forgeml.training import story
from forgeml.training.fine_tune import fine_tune, score
from forgeml.training.materials import Materials, Tell, encode_part, gather
from forgeml.training.outputs import Outputs
from forgeml.training.tracking import Tracker

Metrics = Mapping[str, Mapping[str, float]]


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
    tracker = Tracker(config.mlflow, lambda reason: tell(Note("tracking", reason, warning=True)))
    short_of_memory = memory_errors(*story.memory(config.training, materials.max_length))
    with tracker.running(), _tidy(outputs, _manifest(config, materials, {}), tell), short_of_memory:
        _track_start(tracker, config, materials)
        best, steps = fine_tune(config, materials, tracker, outputs, tell)
        metrics = _score_saved(outputs, materials, tracker, tell)
        outputs.publish(_manifest(config, materials, metrics))
        tracker.log_model(outputs.best, versions())
    result = TrainingResult(
        folder=str(outputs.best),
        metrics=metrics,
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
    tracker.log_settings(flatten(_resolved(config, materials)))
    tracker.log_data(materials.source.name, splits.fingerprint, {part.name: len(part) for part in splits.parts()})
    facts = {"device": runtime.device, "precision": runtime.precision, "model": pretrained.name}
    tracker.log_facts({**facts, "model_commit": pretrained.commit or "local folder"})


def _score_saved(outputs: Outputs, materials: Materials, tracker: Tracker, tell: Tell) -> Metrics:
    """Metrics of the model as it was read back from disk: what is scored is what ships."""
    # Both would not always fit on a GPU.
    materials.model.cpu()
    model, tokenizer, _ = open_saved(outputs.prepared, materials.runtime.device)
    scored: dict[str, Mapping[str, float]] = {}
    for part in materials.splits.parts()[1:]:
        encoded = encode_part(tokenizer, part, materials.max_length, tell)
        scored[part.name] = score(model, encoded, part, materials.runtime.device, tell)
        tracker.log_evaluation(Evaluation(part.name, len(part), scored[part.name]), prefix="best.")
    return scored


def _manifest(config: Config, materials: Materials, metrics: Metrics) -> Manifest:
    """`forgeml.json` but for the format number and the hashes of files, which the folder adds."""
    source, splits, runtime = materials.source, materials.splits, materials.runtime
    return {
        "task": "single_label",
        "labels": list(splits.class_names),
        "metrics": metrics,
        "config": _resolved(config, materials).model_dump(),
        "data": {
            "name": source.name,
            "revision": source.revision,
            "fingerprint": splits.fingerprint,
            "rows": {part.name: len(part) for part in splits.parts()},
            "text_column": config.data.text_column or source.text_column,
            "label_column": config.data.label_column or source.label_column,
        },
        "model": {"name": materials.pretrained.name, "commit": materials.pretrained.commit},
        "runtime": {"device": runtime.device, "precision": runtime.precision, "threads": runtime.threads},
        "versions": versions(),
    }


def _resolved(config: Config, materials: Materials) -> Config:
    """The configuration as it is saved and tracked: with the length that was found, and without secrets."""
    model = config.model.model_copy(update={"max_length": materials.max_length})
    return without_secrets(config.model_copy(update={"model": model}))


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
