"""What happens between the steps of the loop: telling, tracking, evaluating, keeping the best, stopping."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from forgeml.batch import AnyBatch
from forgeml.config.schema import Config, TrainingConfig
from forgeml.data.batches import SCORING_BATCH, Collate, Indexes, collate, pack, plan_scoring
from forgeml.events import Evaluation, StepReport
from forgeml.machine import keep_freed_memory
from forgeml.metrics import DEFAULT_METRIC, best_thresholds, compute_metrics
from forgeml.model.forward import batch_logits, predict_logits
from forgeml.model.losses import balanced_weights, loss_of
from forgeml.model.packed.dropout import use_quick_dropout
from forgeml.model.packed.remembering import Remembering
from forgeml.model.saved import Classifying
from forgeml.records import EncodedTexts
from forgeml.runtime import seed_everything
from forgeml.training import story
from forgeml.training.averaging import Averaging
from forgeml.training.loop import (
    Learner,
    TrainingSet,
    build_accelerator,
    steps_in_epoch,
    steps_in_run,
    train_steps,
    whole_weights,
)
from forgeml.training.materials import Materials, Tell, progress
from forgeml.training.optimizer import build_optimizer, build_schedule
from forgeml.training.outputs import Outputs
from forgeml.training.processes import ALONE, Processes
from forgeml.training.stopping import BestSoFar
from forgeml.training.tracking.tracker import Tracker

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel


def fine_tune(
    config: Config, materials: Materials, tracker: Tracker, outputs: Outputs, tell: Tell
) -> tuple[Evaluation, int]:
    """Train to the end or until patience runs out; the best model is kept on disk.

    Returns:
        The best evaluation, and the number of steps taken.

    Raises:
        TrainingError: a loss or a gradient is not finite.
        MachineError: the model cannot be written.
    """
    every, per_epoch = config.logging, steps_in_epoch(len(materials.train), config.training)
    best = BestSoFar(config.training.best_metric or DEFAULT_METRIC[materials.splits.task], config.training.patience)
    speed = _Speed()
    total_steps = steps_in_run(len(materials.train), config.training)
    tell(story.plan(config.training, total_steps, packed=materials.packing is not None))
    learner, training_set = prepare(config.training, materials)
    validation = _Validation(materials, learner, tracker, outputs, tell)
    averaging = Averaging(config.training, evaluations_in_run(config, len(materials.train)))
    for note in story.averaging(averaging, materials.model):
        tell(note)
    for report in train_steps(learner, training_set, config.training):
        tell(report)
        speed.add(report)
        if report.step % every.log_interval == 0:
            tracker.log_step(report, speed.since_last())
        if report.step % (every.eval_interval or per_epoch) == 0 or report.step == report.total_steps:
            validation.score(report, best.improved_by)
            averaging.add(materials.model)
        if every.save_interval and report.step % every.save_interval == 0:
            _save(outputs.save_last, materials, learner)
        if best.exhausted:
            tell(story.stopped_early(best))
            break
    if speed.waiting:
        tracker.log_step(report, speed.since_last())
    if averaging.put_into(materials.model):
        kept = validation.score(report, best.equalled_by, prefix="averaged.")
        tell(story.averaged(averaging, best, kept))
    return best.found, report.step


def evaluations_in_run(config: Config, texts: int) -> int:
    """Evaluations on validation that a run takes, if it goes to its end."""
    every = config.logging.eval_interval or steps_in_epoch(texts, config.training)
    return -(-steps_in_run(texts, config.training) // every)


def score_logits(
    model: PreTrainedModel,
    encoded: EncodedTexts,
    device: str,
    on_progress: Callable[[int], None],
    collate: Collate = collate,
    processes: Processes = ALONE,
) -> NDArray[np.float32]:
    """What a model says of texts that are encoded already; shape (texts, outputs).

    Args:
        model: a classifier on the device.
        encoded: the texts.
        device: where to compute.
        on_progress: told the number of texts done so far.
        collate: makes the batches that the model takes.
        processes: of which each reads some of the texts; all get the logits of all.
    """
    plan, own = processes.part(plan_scoring(encoded, SCORING_BATCH))
    texts = np.concatenate(plan[:own] or [np.zeros(0, np.int64)])

    def tell_of_all(done: int) -> None:
        on_progress(min(done * processes.count, len(encoded)))

    logits = predict_logits(model, _numbered(encoded, plan, collate), device, tell_of_all)
    together = np.zeros((len(encoded), logits.shape[1]), np.float32)
    together[texts] = logits[: len(texts)]
    return processes.total(together)


def _numbered(encoded: EncodedTexts, plan: Sequence[Indexes], collate: Collate) -> Iterator[AnyBatch]:
    """Batches whose texts are counted through, whichever they are."""
    numbers, done = np.zeros(len(encoded), np.int64), 0
    for indexes in plan:
        numbers[indexes] = np.arange(done, done + len(indexes))
        batch, done = collate(encoded, indexes), done + len(indexes)
        yield replace(batch, indexes=numbers[batch.indexes])


def prepare(config: TrainingConfig, materials: Materials) -> tuple[Learner, TrainingSet]:
    """What the loop works with. Accelerate computes in the chosen precision inside the model itself."""
    splits, device, processes = materials.splits, materials.runtime.device, materials.processes
    train = splits.train
    unreached = processes.group is not None and _has_unreached(materials)
    optimizer = build_optimizer(materials.model, config)
    schedule = build_schedule(optimizer, config, steps_in_run(len(train), config))
    own_precision = _speed_up(materials)
    accelerator = build_accelerator(
        materials.runtime, autocast=not own_precision, model=materials.model, unreached=unreached
    )
    model, optimizer = accelerator.prepare(materials.model.train(), optimizer)
    labels = materials.scale.standardized(train.labels) if materials.scale else train.labels
    weights = balanced_weights(splits.task, labels, len(splits.class_names)) if config.class_weights else None
    loss_sum = loss_of(splits.task, weights, device, config.label_smoothing)
    learner = Learner(accelerator, model, optimizer, schedule, loss_sum, _batches(config, materials))
    if processes.group is not None:
        # All have built the same weights from the same seed; what they drop out must differ.
        seed_everything(int(np.random.SeedSequence([config.seed, processes.rank]).generate_state(1)[0]))
    return learner, TrainingSet(materials.train, labels, train.rows)


def _batches(config: TrainingConfig, materials: Materials) -> Collate:
    """Makes the batches of the run; what frozen blocks make of a text is worked out once, where that can be kept."""
    packing, frozen = materials.packing, config.freeze_layers or 0
    return Remembering(pack) if packing and packing.pass_over(frozen) else materials.collate


def _speed_up(materials: Materials) -> bool:
    """Make the model compute the same in less time; whether it sees to the precision itself from now on."""
    runtime, packing = materials.runtime, materials.packing
    if runtime.device == "cpu":
        keep_freed_memory()
        use_quick_dropout(materials.model)
    if packing is None or runtime.precision != "bf16":
        return False
    packing.compute_in(torch.bfloat16)
    return True


@dataclass(frozen=True)
class _Validation:
    """The model as it is at some step, on the part that decides which one is kept."""

    materials: Materials
    learner: Learner
    tracker: Tracker
    outputs: Outputs
    tell: Tell

    def score(self, report: StepReport, is_best: Callable[[Evaluation], bool], prefix: str = "") -> bool:
        """Evaluate, track under the prefix and tell; the model is kept if it is the best, which is the answer."""
        evaluation = self._evaluation(report)
        kept = is_best(evaluation)
        if kept:
            _save(self.outputs.keep, self.materials, self.learner)
        self.tracker.log_evaluation(evaluation, prefix)
        self.tell(evaluation)
        return kept

    def _evaluation(self, report: StepReport) -> Evaluation:
        """Metrics, worked out in one process, so that all others decide by the same figures."""
        materials, task = self.materials, self.materials.splits.task
        part, processes, device = materials.splits.validation, materials.processes, materials.runtime.device
        on_progress = progress(self.tell, f"score {part.name}", len(part))
        collate = self.learner.collate
        logits = score_logits(materials.model, materials.validation, device, on_progress, collate, processes)

        def measure() -> Evaluation:
            found = materials.scale.restored(logits) if materials.scale else logits
            thresholds = best_thresholds(found, part.labels) if task == "multi_label" else None
            metrics = compute_metrics(task, found, part.labels, thresholds)
            return Evaluation(part.name, len(part), metrics, report.step, report.epoch)

        return processes.by_main(measure)


def _save(write: Callable[[Classifying], None], materials: Materials, learner: Learner) -> None:
    """Put the weights together where each process has a part of them, and let the main one write."""
    weights, max_length = whole_weights(learner), materials.cut.max_length
    saved = Classifying(materials.model, materials.tokenizer, max_length, materials.folds, weights)
    materials.processes.by_main(lambda: write(saved))


def _has_unreached(materials: Materials) -> bool:
    """Whether the model has weights that its output does not depend on, as a pooler that is not used."""
    model = materials.model
    logits = batch_logits(model, collate(materials.train, np.zeros(1, np.int64)), model.device)
    torch.autograd.backward(logits.sum())
    unreached = any(weight.requires_grad and weight.grad is None for weight in model.parameters())
    model.zero_grad(set_to_none=True)
    return unreached


class _Speed:
    """Examples per second since the last question."""

    def __init__(self) -> None:
        self._examples, self._seconds = 0, 0.0

    @property
    def waiting(self) -> bool:
        """Whether there were steps since the last question."""
        return self._examples > 0

    def add(self, report: StepReport) -> None:
        self._examples, self._seconds = self._examples + report.examples, self._seconds + report.seconds

    def since_last(self) -> float:
        examples, seconds, self._examples, self._seconds = self._examples, self._seconds, 0, 0.0
        return examples / seconds if seconds else 0.0
