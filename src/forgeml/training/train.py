"""The run as a story: configuration, model, data, fine-tuning, result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forgeml.config.loading import flatten, without_secrets
from forgeml.config.schema import Config
from forgeml.data import labels
from forgeml.data.batches import SCORING_BATCH, scoring_batches
from forgeml.data.source import read_source
from forgeml.data.splits import make_splits
from forgeml.data.tokens import encode
from forgeml.errors import Stopped
from forgeml.metrics import classification_metrics
from forgeml.model.forward import predict_logits
from forgeml.model.pretrained import build_classifier, fetch_pretrained, longest_text, open_tokenizer
from forgeml.model.saved import open_saved
from forgeml.records import (
    EncodedTexts,
    Evaluation,
    Event,
    Manifest,
    Note,
    Pretrained,
    Progress,
    Runtime,
    Source,
    Split,
    Splits,
    StepReport,
    TrainingResult,
)
from forgeml.runtime import choose_runtime, seed_everything, versions
from forgeml.training import story
from forgeml.training.loop import TrainingSet, build_accelerator, steps_in_epoch, train_steps
from forgeml.training.optimizer import build_optimizer, build_schedule
from forgeml.training.outputs import Outputs
from forgeml.training.stopping import BestSoFar
from forgeml.training.tracking import Tracker

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Tell = Callable[[Event], None]


@dataclass(frozen=True)
class Materials:
    """All that the fine-tuning works on."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    splits: Splits
    train: EncodedTexts
    validation: EncodedTexts
    runtime: Runtime


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
    runtime = choose_runtime(config.training.device, config.training.precision)
    tell(story.machine(runtime))
    pretrained = fetch_pretrained(config.model.name, config.model.revision)
    tell(story.model(pretrained))
    source = read_source(config.data.dataset, config.data.subset)
    splits = make_splits(source, config.data, config.training.seed)
    labels.check_count(splits.class_names, config.model.num_labels)
    for note in story.data(source, splits):
        tell(note)
    materials = _gather(config, pretrained, splits, runtime, tell)

    tracker = Tracker(config.mlflow, lambda reason: tell(Note("tracking", reason, warning=True)))
    with tracker.running(), _tidy(outputs, tell):
        tracker.log_settings(flatten(without_secrets(config)))
        tracker.log_data(source.name, splits.fingerprint, {part.name: len(part) for part in splits.parts()})
        best, steps = _fine_tune(config, materials, tracker, outputs, tell)
        metrics = _score_saved(outputs.prepared, materials, tracker, tell)
        outputs.publish(_manifest(config, pretrained, source, materials, metrics))
        tracker.log_model(outputs.best, versions())
    result = TrainingResult(
        folder=str(outputs.best),
        metrics=metrics,
        best_step=best.step or 0,
        steps=steps,
        seconds=time.monotonic() - started,
        run_id=tracker.run_id or None,
    )
    tell(result)
    return result


def _gather(config: Config, pretrained: Pretrained, splits: Splits, runtime: Runtime, tell: Tell) -> Materials:
    tokenizer = open_tokenizer(pretrained)
    max_length = longest_text(pretrained, tokenizer, config.model.max_length)
    train, validation = (_encode(tokenizer, part, max_length, tell) for part in (splits.train, splits.validation))
    tell(story.lengths(train, max_length))
    seed_everything(config.training.seed)
    model = build_classifier(pretrained, splits.class_names, tokenizer)
    return Materials(model, tokenizer, max_length, splits, train, validation, runtime)


def _fine_tune(
    config: Config, materials: Materials, tracker: Tracker, outputs: Outputs, tell: Tell
) -> tuple[Evaluation, int]:
    """Train to the end or until patience runs out; the best model is kept on disk.

    Returns:
        The best evaluation, and the number of steps taken.
    """
    settings, every = config.training, config.logging
    per_epoch = steps_in_epoch(len(materials.train), settings)
    total_steps = settings.num_epochs * per_epoch
    optimizer = build_optimizer(materials.model, settings)
    schedule = build_schedule(optimizer, settings, total_steps)
    accelerator = build_accelerator(materials.runtime)
    model, optimizer = accelerator.prepare(materials.model.train(), optimizer)
    training_set = TrainingSet(materials.train, materials.splits.train.labels, materials.splits.train.rows)

    tell(story.plan(settings, total_steps))
    best = BestSoFar(settings.best_metric, settings.patience)
    speed = _Speed()
    for report in train_steps(accelerator, model, optimizer, schedule, training_set, settings):
        tell(report)
        speed.add(report.examples, report.seconds)
        if report.step % every.log_interval == 0 or report.step == total_steps:
            tracker.log_step(report, speed.since_last())
        if report.step % (every.eval_interval or per_epoch) == 0 or report.step == total_steps:
            evaluation = _evaluate(model, materials, str(accelerator.device), report, tell)
            if best.improved_by(evaluation):
                outputs.keep(accelerator.unwrap_model(model), materials.tokenizer, materials.max_length)
            tracker.log_evaluation(evaluation)
            tell(evaluation)
            if best.exhausted:
                tell(story.stopped_early(best))
                break
        if every.save_interval and report.step % every.save_interval == 0:
            outputs.save_last(accelerator.unwrap_model(model), materials.tokenizer, materials.max_length)
    assert best.best is not None
    return best.best, report.step


def _evaluate(model: PreTrainedModel, materials: Materials, device: str, report: StepReport, tell: Tell) -> Evaluation:
    part = materials.splits.validation
    batches = scoring_batches(materials.validation, SCORING_BATCH)
    logits = predict_logits(model, batches, device, _progress(tell, f"score {part.name}", len(part)))
    metrics = classification_metrics(logits, part.labels)
    return Evaluation(part.name, len(part), metrics, report.step, report.epoch)


def _score_saved(folder: Path, materials: Materials, tracker: Tracker, tell: Tell) -> dict[str, Mapping[str, float]]:
    """Metrics of the model as it was read back from disk: what is scored is what ships."""
    device = materials.runtime.device
    model, tokenizer, _ = open_saved(folder, device)
    scored: dict[str, Mapping[str, float]] = {}
    for part in materials.splits.parts()[1:]:
        encoded = _encode(tokenizer, part, materials.max_length, tell)
        batches = scoring_batches(encoded, SCORING_BATCH)
        logits = predict_logits(model, batches, device, _progress(tell, f"score {part.name}", len(part)))
        scored[part.name] = classification_metrics(logits, part.labels)
        tracker.log_evaluation(Evaluation(part.name, len(part), scored[part.name]), prefix="best.")
    return scored


def _encode(tokenizer: PreTrainedTokenizerBase, part: Split, max_length: int, tell: Tell) -> EncodedTexts:
    return encode(tokenizer, part.texts, max_length, _progress(tell, f"tokenize {part.name}", len(part)))


def _progress(tell: Tell, task: str, total: int) -> Callable[[int], None]:
    return lambda done: tell(Progress(task, done, total))


def _manifest(
    config: Config,
    pretrained: Pretrained,
    source: Source,
    materials: Materials,
    metrics: Mapping[str, Mapping[str, float]],
) -> Manifest:
    """`forgeml.json` but for the format number and the hashes of files, which the folder adds."""
    splits, runtime = materials.splits, materials.runtime
    resolved = without_secrets(config).model_dump()
    resolved["model"]["max_length"] = materials.max_length
    return {
        "task": "single_label",
        "labels": list(splits.class_names),
        "metrics": metrics,
        "config": resolved,
        "data": {
            "name": source.name,
            "revision": source.revision,
            "fingerprint": splits.fingerprint,
            "rows": {part.name: len(part) for part in splits.parts()},
            "text_column": config.data.text_column or source.text_column,
            "label_column": config.data.label_column or source.label_column,
        },
        "model": {"name": pretrained.name, "commit": pretrained.commit},
        "runtime": {"device": runtime.device, "precision": runtime.precision, "threads": runtime.threads},
        "versions": versions(),
    }


class _Speed:
    """Examples per second since the last question."""

    def __init__(self) -> None:
        self._examples, self._seconds = 0, 0.0

    def add(self, examples: int, seconds: float) -> None:
        self._examples, self._seconds = self._examples + examples, self._seconds + seconds

    def since_last(self) -> float:
        examples, seconds, self._examples, self._seconds = self._examples, self._seconds, 0, 0.0
        return examples / seconds if seconds else 0.0


@contextmanager
def _tidy(outputs: Outputs, tell: Tell) -> Iterator[None]:
    """Leave nothing half done: a stopped run keeps its best model so far, a failed one nothing."""
    try:
        yield
    except (KeyboardInterrupt, Stopped):
        kept = outputs.keep_after_stop()
        if kept:
            tell(Note("stopped", f"the best model so far is in {kept}", warning=True))
        raise
    finally:
        outputs.clean()
