"""What happens between the steps of the loop: telling, tracking, evaluating, keeping the best, stopping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from forgeml.config.schema import Config
from forgeml.errors import ForgeError, Stopped
from forgeml.events import Evaluation, Note, StepReport
from forgeml.machine import first_signal_waits
from forgeml.metrics import DEFAULT_METRIC, best_thresholds, compute_metrics
from forgeml.model.saved import Classifying
from forgeml.training import story
from forgeml.training.averaging import Averaging
from forgeml.training.keeping.checkpoints import Checkpoint
from forgeml.training.keeping.learner_state import put_back, settings_of, tensors_of
from forgeml.training.loop import (
    Learner,
    TrainingSet,
    is_divided,
    recall,
    steps_in_epoch,
    steps_in_run,
    train_steps,
    whole_weights,
)
from forgeml.training.materials import Materials, Tell, progress
from forgeml.training.memory import check_memory
from forgeml.training.outputs import Outputs
from forgeml.training.preparing import prepare
from forgeml.training.scoring import score_logits
from forgeml.training.stopping import BestSoFar
from forgeml.training.tracking.tracker import Tracker


@dataclass(frozen=True)
class Surroundings:
    """Whom a run tells what it has come to, and what it leaves on disk."""

    tracker: Tracker
    outputs: Outputs
    tell: Tell
    recorded: dict[str, Any]
    """What a checkpoint has to say of the run as a whole."""


def fine_tune(
    config: Config, materials: Materials, around: Surroundings, checkpoint: Checkpoint | None = None
) -> tuple[Evaluation, int]:
    """Train to the end or until patience runs out; the best model is kept on disk.

    Args:
        config: of the run.
        materials: what it works on.
        around: whom it tells.
        checkpoint: where it goes on from; None: from the beginning.

    Returns:
        The best evaluation, and the number of steps taken.

    Raises:
        TrainingError: a loss or a gradient is not finite.
        MachineError: the model cannot be written.
    """
    learner, training_set = prepare(config.training, materials)
    check_memory(config.training, materials, learner, training_set, around.tell)
    run = _Run(config, materials, learner, around)
    around.tell(story.plan(config.training, run.total_steps, packed=materials.packing is not None))
    for note in story.averaging(run.averaging, materials.model):
        around.tell(note)
    if is_divided(learner):
        around.tell(Note("checkpoint", "none are written of a model of which each process has a part", warning=True))
    with run.kept_when_stopped():
        if checkpoint:
            run.take_up(checkpoint, training_set)
        for report in run.steps(training_set):
            run.record(report)
            run.settle(report)
        run.finish()
    return run.best.found, run.step


def evaluations_in_run(config: Config, texts: int) -> int:
    """Evaluations on validation that a run takes, if it goes to its end."""
    every = config.logging.eval_interval or steps_in_epoch(texts, config.training)
    return -(-steps_in_run(texts, config.training) // every)


class _Run:
    """What a run has come to between two steps."""

    def __init__(self, config: Config, materials: Materials, learner: Learner, around: Surroundings) -> None:
        texts = len(materials.train)
        self._config, self._materials, self._learner, self._around = config, materials, learner, around
        self.total_steps = steps_in_run(texts, config.training)
        self.best = BestSoFar(
            config.training.best_metric or DEFAULT_METRIC[materials.splits.task], config.training.patience
        )
        self.averaging = Averaging(config.training, evaluations_in_run(config, texts))
        self._evaluate_every = config.logging.eval_interval or steps_in_epoch(texts, config.training)
        self._speed = _Speed()
        self._report: StepReport | None = None
        """Of the last step that was taken."""
        self._settled = True
        """Whether all that follows that step is done."""
        self._whole = True
        """Whether nothing is half done, so that a checkpoint can be written."""
        self._written = (0, True)
        """Step of the last checkpoint, and whether that was settled."""

    @property
    def step(self) -> int:
        """Steps taken so far."""
        return self._report.step if self._report else 0

    def take_up(self, checkpoint: Checkpoint, training_set: TrainingSet) -> None:
        """Bring everything to where it was when the checkpoint was written."""
        state, training = checkpoint.state, self._config.training
        self._whole = False
        tensors = self._materials.processes.by_main(checkpoint.tensors)
        put_back(self._learner, self._materials.model, checkpoint.step, tensors, state["learner"])
        self.best.put_back(state["best"])
        self.averaging.put_back(state["averaging"], tensors, self._materials.model)
        self._report, self._settled = StepReport(**state["report"]), state["settled"]
        self._materials.processes.by_main(lambda: self._around.outputs.take_up(checkpoint.best))
        recall(self._learner, training_set, training, checkpoint.step)
        self._whole, self._written = True, (checkpoint.step, self._settled)
        self._around.tell(story.goes_on(checkpoint, self.total_steps))
        if not self._settled:
            self.settle(self._report)

    def steps(self, training_set: TrainingSet) -> Iterator[StepReport]:
        """The steps that are left, none of them cut in two by the first signal to stop."""
        parts = self._report.parts if self._report else 1
        left = train_steps(self._learner, training_set, self._config.training, self.step, parts)
        while not self.best.exhausted:
            with self._unbroken():
                report = next(left, None)
                if report is not None:
                    self._report, self._settled = report, False
            if report is None:
                return
            if report.parts > parts:
                self._around.tell(story.in_parts(report, self._config.training))
                parts = report.parts
                self._around.tracker.log_facts({"batch_parts": str(parts)})
            yield report
        self._around.tell(story.stopped_early(self.best))

    def record(self, report: StepReport) -> None:
        """Track a step and tell of it."""
        self._speed.add(report)
        if report.step % self._config.logging.log_interval == 0:
            self._around.tracker.log_step(report, self._speed.since_last())
        self._around.tell(report)

    def settle(self, report: StepReport) -> None:
        """Do what follows a step: evaluate, keep, write a checkpoint."""
        save_interval = self._config.logging.save_interval
        evaluated = report.step % self._evaluate_every == 0 or report.step == self.total_steps
        evaluation = self._evaluation(report) if evaluated else None
        with self._unbroken():
            if evaluation:
                self._keep_if(self.best.improved_by, evaluation)
                self.averaging.add(self._materials.model)
            self._settled = True
        if evaluated or (save_interval and report.step % save_interval == 0):
            self._materials.processes.by_main(self._around.outputs.check_there)
            self._write_checkpoint()

    def finish(self) -> None:
        """Do what follows the last step."""
        assert self._report is not None
        if self._speed.waiting:
            self._around.tracker.log_step(self._report, self._speed.since_last())
        # From here on the model is not that of the last step.
        self._whole = False
        if self.best.best is None:
            # A run that went on with fewer steps than it began with may be over before its first evaluation.
            self._keep_if(self.best.improved_by, self._evaluation(self._report))
        if self.averaging.put_into(self._materials.model):
            kept = self._keep_if(self.best.equalled_by, self._evaluation(self._report), prefix="averaged.")
            self._around.tell(story.averaged(self.averaging, self.best, kept))

    @contextmanager
    def kept_when_stopped(self) -> Iterator[None]:
        """Inside `with`, a signal to stop leaves a checkpoint of the last step."""
        try:
            yield
        except (KeyboardInterrupt, Stopped):
            if self._whole and self._report is not None:
                self._write_checkpoint()
            raise

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        """Inside `with`, what is done belongs together: the first signal to stop waits until it is done."""
        with first_signal_waits():
            self._whole = False
            yield
            self._whole = True

    def _write_checkpoint(self) -> None:
        """What cannot be written now costs nothing but the way back to the last one."""
        around, materials = self._around, self._materials
        assert self._report is not None
        now = (self._report.step, self._settled)
        if now == self._written or is_divided(self._learner) or not materials.processes.main:
            return
        state = {
            **around.recorded,
            "report": asdict(self._report),
            "settled": self._settled,
            "learner": settings_of(self._learner),
            "best": self.best.state(),
            "averaging": self.averaging.state(),
            "tracking": around.tracker.state,
        }
        tensors = tensors_of(self._learner, materials.model) | self.averaging.tensors()
        try:
            around.outputs.check_there()
            around.outputs.write_checkpoint(self._report.step, state, tensors)
            self._written = now
        except ForgeError as error:
            problem = error.problems[0]
            around.tell(Note("checkpoint", f"{problem.where} {problem.what}; {problem.fix}", warning=True))

    def _keep_if(self, is_best: Callable[[Evaluation], bool], evaluation: Evaluation, prefix: str = "") -> bool:
        """Keep the model if it is the best, which is the answer; track under the prefix and tell."""
        kept = is_best(evaluation)
        if kept:
            self._keep()
        self._around.tracker.log_evaluation(evaluation, prefix)
        self._around.tell(evaluation)
        return kept

    def _evaluation(self, report: StepReport) -> Evaluation:
        """Metrics, worked out in one process, so that all others decide by the same figures."""
        materials, task = self._materials, self._materials.splits.task
        part, processes, device = materials.splits.validation, materials.processes, materials.runtime.device
        on_progress = progress(self._around.tell, f"score {part.name}", len(part))
        collate = self._learner.collate
        logits = score_logits(materials.model, materials.validation, device, on_progress, collate, processes)

        def measure() -> Evaluation:
            found = materials.scale.restored(logits) if materials.scale else logits
            thresholds = best_thresholds(found, part.labels) if task == "multi_label" else None
            metrics = compute_metrics(task, found, part.labels, thresholds)
            return Evaluation(part.name, len(part), metrics, report.step, report.epoch)

        return processes.by_main(measure)

    def _keep(self) -> None:
        """Put the weights together where each process has a part of them, and let the main one write."""
        materials, weights = self._materials, whole_weights(self._learner)
        saved = Classifying(materials.model, materials.tokenizer, materials.cut.max_length, materials.folds, weights)
        materials.processes.by_main(lambda: self._around.outputs.keep(saved))


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
