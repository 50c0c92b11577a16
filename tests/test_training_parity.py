"""The loop against an oracle: the library's own Trainer on the same model, data, order and schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

from forgeml.config.schema import DataConfig, TrainingConfig
from forgeml.data.batches import plan_training
from forgeml.data.shares import select
from forgeml.data.source import read_source
from forgeml.data.splits import make_splits
from forgeml.data.tokens.encoding import encode
from forgeml.model.losses import loss_of
from forgeml.model.pretrained import build_classifier, fetch_pretrained, open_tokenizer
from forgeml.records import Cut, Runtime
from forgeml.training.accelerator import build_accelerator
from forgeml.training.loop import Learner, TrainingSet, accumulate_gradients, train_steps
from forgeml.training.optimizer import build_optimizer, build_schedule

TEXTS = 192


class _Losses(TrainerCallback):
    """Keeps what the Trainer logs."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **more: Any) -> None:
        if "loss" in logs:
            self.values.append(logs["loss"])


@pytest.fixture(scope="module")
def material(tiny_model: Path, reviews: Path) -> tuple[Any, TrainingSet]:
    """The tiny model's tokenizer, and encoded training texts."""
    data = DataConfig(dataset=str(reviews))
    train = make_splits(read_source(data), data, seed=1).train
    first = select(train, np.arange(len(train)) < TEXTS)
    tokenizer = open_tokenizer(fetch_pretrained(str(tiny_model), None))
    return tokenizer, TrainingSet(encode(tokenizer, first.texts, Cut(64)), first.labels, first.rows)


def _classifier(tiny_model: Path, tokenizer: Any) -> torch.nn.Module:
    """The same classifier every time, without dropout, so that no randomness is left."""
    torch.manual_seed(3)
    model = build_classifier(fetch_pretrained(str(tiny_model), None), "single_label", ["neg", "pos"], tokenizer)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def _ours(model: torch.nn.Module, training_set: TrainingSet, config: TrainingConfig) -> list[float]:
    optimizer = build_optimizer(model, config)
    total = config.num_epochs * TEXTS // (config.batch_size * config.gradient_accumulation_steps)
    schedule = build_schedule(optimizer, config, total)
    accelerator = build_accelerator(Runtime("cpu", "fp32", 1))
    model, optimizer = accelerator.prepare(model.train(), optimizer)
    learner = Learner(accelerator, model, optimizer, schedule, loss_of("single_label", None, "cpu"))
    return [report.loss for report in train_steps(learner, training_set, config)]


def _at_rest(model: torch.nn.Module) -> Learner:
    """A learner that gathers gradients and takes no step."""
    optimizer = torch.optim.SGD(model.parameters())
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    accelerator = build_accelerator(Runtime("cpu", "fp32", 1))
    return Learner(accelerator, model, optimizer, schedule, loss_of("single_label", None, "cpu"))


def _theirs(model: Any, tokenizer: Any, training_set: TrainingSet, config: TrainingConfig, folder: Path) -> list[float]:
    encoded, labels = training_set.encoded, training_set.labels
    plan = plan_training(encoded.lengths, config.batch_size, config.seed, epoch=0)
    rows = [
        {"input_ids": encoded.ids[encoded.offsets[i] : encoded.offsets[i + 1]].tolist(), "label": int(labels[i])}
        for i in np.concatenate(plan)
    ]
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        learning_rate=config.learning_rate,
        num_train_epochs=1,
        warmup_steps=config.warmup_steps,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        lr_scheduler_type=config.schedule,
        train_sampling_strategy="sequential",
        logging_steps=1,
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        report_to="none",
    )
    losses = _Losses()
    collator = DataCollatorWithPadding(tokenizer)
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator, callbacks=[losses])
    trainer.train()
    return losses.values


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_same_losses_and_weights_as_the_library_trainer(
    tiny_model: Path, material: tuple[Any, TrainingSet], schedule: str, tmp_path: Path
) -> None:
    """In fp32 and without dropout, every step's loss and all final weights agree to 1e-5."""
    tokenizer, training_set = material
    config = TrainingConfig.model_validate(
        {"batch_size": 16, "learning_rate": 1e-3, "num_epochs": 1, "warmup_steps": 0.2, "schedule": schedule}
    )
    ours, theirs = _classifier(tiny_model, tokenizer), _classifier(tiny_model, tokenizer)
    our_losses = _ours(ours, training_set, config)
    their_losses = _theirs(theirs, tokenizer, training_set, config, tmp_path)
    np.testing.assert_allclose(our_losses, their_losses, rtol=0, atol=1e-5)
    for (name, weight), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(weight, other, rtol=0, atol=1e-5, msg=name)


@pytest.mark.parametrize("size", [5, 6])
def test_accumulation_equals_the_large_batch(tiny_model: Path, material: tuple[Any, TrainingSet], size: int) -> None:
    """Batches added up for one step give the gradients of one large batch, also when the last one is smaller."""
    tokenizer, training_set = material
    order = np.argsort(training_set.encoded.lengths, kind="stable")[:20]
    whole, pieces = _classifier(tiny_model, tokenizer).train(), _classifier(tiny_model, tokenizer).train()
    accumulate_gradients(_at_rest(whole), training_set, [order], 20)
    accumulate_gradients(_at_rest(pieces), training_set, [order[i : i + size] for i in range(0, 20, size)], 20)
    for (name, weight), other in zip(whole.named_parameters(), pieces.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, other.grad, rtol=0, atol=1e-6, msg=name)
