"""The run as a story: configuration, model, data, fine-tuning, result."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from forgeml.config.loading import flatten
from forgeml.config.schema import Config
from forgeml.errors import ProcessLostError, Stopped
from forgeml.events import Event, Note, TrainingResult
from forgeml.machine import held_signals, memory_errors, versions
from forgeml.records import Manifest
from forgeml.training import story
from forgeml.training.fine_tune import Surroundings, fine_tune
from forgeml.training.keeping.checkpoints import Checkpoint
from forgeml.training.keeping.resuming import DATA, MODEL, asked, check_same, differing, facts, passed_over, pinned
from forgeml.training.lock import locked
from forgeml.training.materials import Materials, Tell, gather
from forgeml.training.outputs import Outputs
from forgeml.training.processes import meet
from forgeml.training.result import Scored, manifest, resolved, score_saved
from forgeml.training.tracking.tracker import Tracker


def train(
    config: Config,
    tell: Tell = lambda event: None,
    *,
    fresh: bool = False,
    allow_changed: Sequence[str] = (),
) -> TrainingResult:
    """Fine-tune the configured model on the configured data and save the best one in `best_model/`.

    A run that was cut short goes on where it was: after a kill or a signal, the same call gives the same weights.

    Args:
        config: the resolved configuration.
        tell: is given notes, progress, steps and evaluations as they happen.
        fresh: start over, and remove what a run that was cut short has left.
        allow_changed: settings, `data` or `model`, in which a run that goes on may differ from how it began.

    Raises:
        ForgeError: of the kind that says whose move mends it: configuration, data, model, machine, hub or training.
    """
    started = time.monotonic()
    with meet(config.training.device) as processes, ExitStack() as held:
        tell = tell if processes.main else _nobody
        outputs = processes.by_main(lambda: _outputs(config, held, tell))
        checkpoint = processes.by_main(lambda: _where_it_was(outputs, fresh, tell))
        materials = gather(pinned(config, checkpoint), tell, processes)
        recorded = _recorded_facts(config, materials)
        processes.by_main(lambda: _check_same(checkpoint, recorded, allow_changed, tell))
        processes.by_main(lambda: outputs.check_room(materials.model))
        tracker = _tracker(config, outputs, checkpoint, tell)
        short_of_memory = memory_errors(*story.memory(config.training, materials.cut.max_length))
        with _recorded(tracker, outputs, config, materials, tell), processes.watched(), short_of_memory:
            _track_start(tracker, config, materials)
            around = Surroundings(tracker, outputs, tell, recorded)
            best, steps = fine_tune(config, materials, around, checkpoint)
            scored = score_saved(outputs, materials, tracker, tell)
            processes.by_main(lambda: _hand_over(outputs, tracker, manifest(config, materials, scored), materials))
        run_id, model_id = processes.by_main(lambda: (tracker.run_id, tracker.model_id))
    result = TrainingResult(
        folder=str(outputs.best),
        metrics=scored.metrics,
        best_step=best.step or 0,
        steps=steps,
        seconds=time.monotonic() - started,
        run_id=run_id or None,
        model_id=model_id or None,
    )
    tell(result)
    return result


def _outputs(config: Config, held: ExitStack, tell: Tell) -> Outputs:
    """The output folder, which nobody else may train into until `held` is closed."""
    held.enter_context(locked(config.output_dir, tell))
    return Outputs(config.output_dir, config.training.keep_checkpoints, config.on_existing_model)


def _where_it_was(outputs: Outputs, fresh: bool, tell: Tell) -> Checkpoint | None:
    """Where a run that was cut short goes on from; None: from the beginning."""
    if fresh:
        outputs.checkpoints.remove()
        return None
    checkpoint, damaged = outputs.checkpoints.newest()
    for note in passed_over(damaged):
        tell(note)
    return checkpoint


def _check_same(
    checkpoint: Checkpoint | None, recorded: Mapping[str, Any], allow_changed: Sequence[str], tell: Tell
) -> None:
    """See that a run that goes on is the one that began, and tell of what does not make it another one."""
    if checkpoint is None:
        return
    check_same(checkpoint, recorded["facts"], allow_changed)
    for note in differing(checkpoint, recorded["facts"]):
        tell(note)


def _recorded_facts(config: Config, materials: Materials) -> dict[str, Any]:
    """What a checkpoint has to say of the run as a whole."""
    commits = {MODEL: materials.pretrained.commit, DATA: materials.source.revision}
    return {"facts": facts(config, materials), "commits": commits, "asked": asked(config)}


def _tracker(config: Config, outputs: Outputs, checkpoint: Checkpoint | None, tell: Tell) -> Tracker:
    """Of a new run in MLflow, or of the one that goes on."""
    continued = checkpoint.state["tracking"] if checkpoint else None
    return Tracker(
        config.mlflow, outputs.folder, lambda reason: tell(Note("tracking", reason, warning=True)), continued or None
    )


def _track_start(tracker: Tracker, config: Config, materials: Materials) -> None:
    splits, runtime, pretrained = materials.splits, materials.runtime, materials.pretrained
    tracker.log_settings(flatten(resolved(config, materials)))
    tracker.log_data(materials.source.name, splits.fingerprint, {part.name: len(part) for part in splits.parts()})
    facts = {"device": runtime.device, "precision": runtime.precision, "model": pretrained.name, "task": splits.task}
    tracker.log_facts({**facts, "model_commit": pretrained.commit or "local folder"})


def _hand_over(outputs: Outputs, tracker: Tracker, story_of_it: Manifest, materials: Materials) -> None:
    outputs.publish(story_of_it)
    tracker.log_model(outputs.best, versions(), materials.splits.columns["text_pair_column"] is not None)
    outputs.checkpoints.remove()


@contextmanager
def _recorded(tracker: Tracker, outputs: Outputs, config: Config, materials: Materials, tell: Tell) -> Iterator[None]:
    """Of several processes only the main one has a run in MLflow and files to tidy up."""
    if not materials.processes.main:
        yield
        return
    with tracker.running(), _tidy(outputs, manifest(config, materials, Scored()), tell):
        yield


@contextmanager
def _tidy(outputs: Outputs, unscored: Manifest, tell: Tell) -> Iterator[None]:
    """Leave nothing half done: a stopped run keeps its best model so far, a failed one nothing.

    A run that lost one of its processes is stopped: had it not noticed itself, the launcher would have told it to stop.
    """
    try:
        yield
    except (KeyboardInterrupt, Stopped, ProcessLostError):
        # One more signal, as a launcher sends it, must not keep the sentence back.
        with held_signals():
            kept = outputs.keep_after_stop(unscored)
            if kept:
                tell(Note("stopped", f"the best model so far is in {kept}", warning=True))
            tell(story.left_off(outputs.checkpoints.newest_step()))
        raise
    finally:
        outputs.clean()


def _nobody(event: Event) -> None:
    """Listens in place of whoever watches the main process."""
