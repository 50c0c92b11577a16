"""What happens between the steps of the loop: telling, tracking, evaluating, keeping the best, stopping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from forgeml.config.schema import Config
from forgeml.data.batches import SCORING_BATCH, scoring_batches
from forgeml.metrics import classification_metrics
from forgeml.model.forward import predict_logits
from forgeml.records import EncodedTexts, Evaluation, Split, StepReport
from forgeml.training import story
from forgeml.training.loop import TrainingSet, build_accelerator, steps_in_epoch, steps_in_run, train_steps
from forgeml.training.materials import Materials, Tell, progress
from forgeml.training.optimizer import build_optimizer, build_schedule
from forgeml.training.outputs import Outputs
from forgeml.training.stopping import BestSoFar
from forgeml.training.tracking import Tracker

if TYPE_CHECKING:
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
    best = BestSoFar(config.training.best_metric, config.training.patience)
    speed = _Speed()
    saved = (materials.model, materials.tokenizer, materials.max_length)
    tell(story.plan(config.training, steps_in_run(len(materials.train), config.training)))
    for report in _steps(config, materials):
        tell(report)
        speed.add(report)
        if report.step % every.log_interval == 0:
            tracker.log_step(report, speed.since_last())
        if report.step % (every.eval_interval or per_epoch) == 0 or report.step == report.total_steps:
            evaluation = _evaluate(materials, report, tell)
            if best.improved_by(evaluation):
                outputs.keep(*saved)
            tracker.log_evaluation(evaluation)
            tell(evaluation)
        if every.save_interval and report.step % every.save_interval == 0:
            outputs.save_last(*saved)
        if best.exhausted:
            tell(story.stopped_early(best))
            break
    if speed.waiting:
        tracker.log_step(report, speed.since_last())
    return best.found, report.step


def score(model: PreTrainedModel, encoded: EncodedTexts, part: Split, device: str, tell: Tell) -> Mapping[str, float]:
    """Metrics of a model on one part, whose texts are encoded already."""
    batches = scoring_batches(encoded, SCORING_BATCH)
    logits = predict_logits(model, batches, device, progress(tell, f"score {part.name}", len(part)))
    return classification_metrics(logits, part.labels)


def _steps(config: Config, materials: Materials) -> Iterator[StepReport]:
    """The loop over ready-made parts. Accelerate computes in the chosen precision inside the model itself."""
    settings, train = config.training, materials.splits.train
    optimizer = build_optimizer(materials.model, settings)
    schedule = build_schedule(optimizer, settings, steps_in_run(len(train), settings))
    accelerator = build_accelerator(materials.runtime)
    model, optimizer = accelerator.prepare(materials.model.train(), optimizer)
    training_set = TrainingSet(materials.train, train.labels, train.rows)
    return train_steps(accelerator, model, optimizer, schedule, training_set, settings)


def _evaluate(materials: Materials, report: StepReport, tell: Tell) -> Evaluation:
    part = materials.splits.validation
    metrics = score(materials.model, materials.validation, part, materials.runtime.device, tell)
    return Evaluation(part.name, len(part), metrics, report.step, report.epoch)


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
