"""The generator: its reports, its golden losses, and how it stops."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forgeml.batch import AnyBatch
from forgeml.config.schema import DataConfig, TrainingConfig
from forgeml.data.source import read_source
from forgeml.data.splits import make_splits
from forgeml.data.tokens.encoding import encode
from forgeml.errors import TrainingError
from forgeml.events import StepReport
from forgeml.model.losses import loss_of
from forgeml.model.pretrained import build_classifier, fetch_pretrained, open_tokenizer
from forgeml.records import Cut, Runtime
from forgeml.runtime import seed_everything
from forgeml.training import loop
from forgeml.training.accelerator import build_accelerator
from forgeml.training.loop import Learner, TrainingSet, steps_in_run, train_steps
from forgeml.training.optimizer import build_optimizer, build_schedule

GOLDEN = Path(__file__).parent / "golden" / "losses.json"


class Run:
    """A small training in the making: the loop, and the model that it works on."""

    def __init__(self, tiny_model: Path, reviews: Path, precision: str = "fp32", **settings: Any) -> None:
        self.config = TrainingConfig.model_validate({"batch_size": 16, "learning_rate": 1e-3, **settings})
        seed_everything(self.config.seed)
        pretrained = fetch_pretrained(str(tiny_model), None)
        tokenizer = open_tokenizer(pretrained)
        data = DataConfig(dataset=str(reviews))
        train = make_splits(read_source(data), data, seed=1).train
        self.training_set = TrainingSet(encode(tokenizer, train.texts, Cut(64)), train.labels, train.rows)
        self.model = build_classifier(pretrained, "single_label", ["neg", "pos"], tokenizer).train()
        optimizer = build_optimizer(self.model, self.config)
        schedule = build_schedule(optimizer, self.config, steps_in_run(len(train), self.config))
        accelerator = build_accelerator(Runtime("cpu", precision, 1))
        model, optimizer = accelerator.prepare(self.model, optimizer)
        self.learner = Learner(accelerator, model, optimizer, schedule, loss_of("single_label", None, "cpu"))
        self.steps = train_steps(self.learner, self.training_set, self.config)


def test_every_text_is_seen_once_an_epoch(tiny_model: Path, reviews: Path) -> None:
    """The reports count every example of every epoch, and the last one says that all is done."""
    run = Run(tiny_model, reviews, num_epochs=2, gradient_accumulation_steps=3)
    reports = list(run.steps)
    assert sum(report.examples for report in reports) == 2 * len(run.training_set.encoded)
    assert (reports[-1].epoch, reports[-1].step) == (2.0, reports[-1].total_steps)
    assert all(np.isfinite(report.loss) and report.grad_norm > 0 for report in reports)


def test_golden_losses(tiny_model: Path, reviews: Path) -> None:
    """The first eight losses are the stored ones: a change of result never slips in unseen."""
    run = Run(tiny_model, reviews, num_epochs=1)
    losses = [next(run.steps).loss for _ in range(8)]
    if os.environ.get("UPDATE_GOLDEN") == "1":
        GOLDEN.write_text(json.dumps(losses) + "\n")
    np.testing.assert_allclose(losses, json.loads(GOLDEN.read_text()), rtol=1e-4)


def test_learning_rate_follows_the_schedule(tiny_model: Path, reviews: Path) -> None:
    """The reported learning rate is the one that the step used: from zero, up in the warm-up, down to the end."""
    rates = [report.learning_rate for report in Run(tiny_model, reviews, num_epochs=1, warmup_steps=3).steps]
    assert rates[0] == 0.0
    assert max(rates) == rates[3] == 1e-3
    assert rates[-1] == pytest.approx(1e-3 / (len(rates) - 3))


def test_bf16_trains_fp32_weights(tiny_model: Path, reviews: Path) -> None:
    """In bf16 the arithmetic is narrow, the weights and their updates are not."""
    run = Run(tiny_model, reviews, precision="bf16", num_epochs=1)
    assert next(run.steps).loss == pytest.approx(np.log(2), abs=0.2)
    assert {weight.dtype for weight in run.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_stops_at_once(tiny_model: Path, reviews: Path, poison: float) -> None:
    """The error names the step, the learning rate, the rows and what to try, and the weights stay as they were."""
    run = Run(tiny_model, reviews, num_epochs=1)
    reports: list[StepReport] = []
    before: dict[str, torch.Tensor] = {}
    with pytest.raises(TrainingError) as caught:
        for report in run.steps:
            reports.append(report)
            if report.step == 3:
                run.model.classifier.bias.data[0] = poison
                before = {name: weight.clone() for name, weight in run.model.state_dict().items()}
    problem = caught.value.problems[0]
    assert problem.where == "training step 4"
    assert "learning rate" in problem.what
    assert "rows" in problem.what
    assert "training.learning_rate" in problem.fix
    assert len(reports) == 3
    for name, weight in run.model.state_dict().items():
        assert torch.equal(weight.nan_to_num(), before[name].nan_to_num()), name


def _without_dropout(tiny_model: Path, reviews: Path, **settings: Any) -> Run:
    run = Run(tiny_model, reviews, num_epochs=1, **settings)
    for module in run.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return run


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_batch_that_does_not_fit_is_taken_in_parts(
    error: Exception, tiny_model: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps are those of whole batches, and once it is known how much fits it is not tried again."""
    steps = _without_dropout(tiny_model, reviews).steps
    whole = [next(steps) for _ in range(4)]
    forward, tried = loop.batch_logits, list[int]()

    def small(model: torch.nn.Module, batch: AnyBatch, device: torch.device) -> torch.Tensor:
        tried.append(len(batch.indexes))
        if len(batch.indexes) > 4:
            raise error
        return forward(model, batch, device)

    monkeypatch.setattr(loop, "batch_logits", small)
    steps = _without_dropout(tiny_model, reviews).steps
    parts = [next(steps) for _ in range(4)]
    assert [report.examples for report in parts] == [8, 16, 16, 16]
    assert [report.parts for report in parts] == [2, 4, 4, 4]
    assert tried == [8, 4, 4, 8, *[4] * 12]
    assert [report.examples for report in parts] == [report.examples for report in whole]
    for told, wanted in zip(parts, whole, strict=True):
        assert (told.loss, told.grad_norm) == pytest.approx((wanted.loss, wanted.grad_norm), rel=1e-5)


def test_text_that_does_not_fit_alone_ends_the_run(
    tiny_model: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing left to cut."""

    def never(*arguments: object) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr(loop, "batch_logits", never)
    with pytest.raises(MemoryError):
        next(Run(tiny_model, reviews).steps)


def test_steps_that_are_done_are_passed_over(tiny_model: Path, reviews: Path) -> None:
    """The place in the data, the count and the share of an epoch are those of a run that took them all."""
    run = Run(tiny_model, reviews, num_epochs=2, gradient_accumulation_steps=2)
    whole = list(run.steps)
    for done in (1, len(whole) // 2, len(whole) - 1):
        other = Run(tiny_model, reviews, num_epochs=2, gradient_accumulation_steps=2)
        left = list(train_steps(other.learner, other.training_set, other.config, done))
        facts = [(report.step, report.total_steps, report.epoch, report.examples) for report in left]
        assert facts == [(one.step, one.total_steps, one.epoch, one.examples) for one in whole[done:]]
