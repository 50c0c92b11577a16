"""The library's Trainer: as its example script has it, with batches padded to their longest text, and at its best.

python -m training.peer_trainer JOB
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
    set_seed,
)
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices

from training.job import EPOCHS, Job, read_job, read_rows, write_result
from training.stopwatch import Stopwatch

SCRIPT, DYNAMIC, BEST = "script", "dynamic", "best"
# Fused AdamW is the default of the others too.
CHOSEN = {
    SCRIPT: {},
    DYNAMIC: {},
    BEST: {"train_sampling_strategy": "group_by_length", "optim": "adamw_torch_fused"},
}
NOT_A_STEP = 10**9


def main(job: Job) -> None:
    """Train once, and score the model if that is asked for."""
    set_seed(job.seed)
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    names = sorted(set(read_rows(job.train)[1]))
    train = encoded(job.train, names, tokenizer, job, padding="max_length" if job.contender == SCRIPT else False)
    validation = encoded(job.validation, names, tokenizer, job, padding=False)
    model = AutoModelForSequenceClassification.from_pretrained(job.model, num_labels=len(names))
    timing = Timing(Stopwatch(job), len(train) * EPOCHS)
    padded = DataCollatorWithPadding(tokenizer)
    trainer = (Trainer if job.scored or job.contender != BEST else TrainerOfMany)(
        model=model,
        args=arguments(job),
        train_dataset=train,
        data_collator=default_data_collator if job.contender == SCRIPT else padded,
        processing_class=tokenizer,
        callbacks=[timing],
    )
    trainer.train()
    told = {"precision": job.precision, "mean_tokens": mean_tokens(train), "first_loss": timing.first_loss}
    if job.scored:
        trainer.data_collator = padded
        # Grouped by length as in the training, what is scored comes in an order of its own.
        scored = trainer.predict(validation)
        told["accuracy"] = float((scored.predictions.argmax(axis=-1) == scored.label_ids).mean())
    write_result(job, {**timing.watch.figures(), **told})


def encoded(
    file: str, names: list[str], tokenizer: PreTrainedTokenizerBase, job: Job, *, padding: str | bool
) -> Dataset:
    """All texts as token ids, before anything is timed."""
    texts, labels = read_rows(file)
    columns = dict(tokenizer(texts, truncation=True, max_length=job.max_length, padding=padding))
    columns |= {"labels": [names.index(label) for label in labels], "length": list(map(len, columns["input_ids"]))}
    return Dataset.from_dict(columns)


def arguments(job: Job) -> TrainingArguments:
    """The same for all three but for what is chosen above; nothing is logged, saved or tracked on the way."""
    return TrainingArguments(
        output_dir=job.folder,
        per_device_train_batch_size=job.batch_size,
        per_device_eval_batch_size=64,
        num_train_epochs=EPOCHS,
        learning_rate=job.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=1.0,
        seed=job.seed,
        bf16=job.precision == "bf16",
        use_cpu=job.device == "cpu",
        # Without workers no core is shared, and nothing is copied between processes.
        dataloader_num_workers=0,
        dataloader_pin_memory=job.device != "cpu",
        logging_steps=NOT_A_STEP,
        logging_first_step=True,
        eval_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **CHOSEN[job.contender],
    )


def mean_tokens(train: Dataset) -> float:
    """Tokens of a text without padding."""
    return float(sum(sum(mask) for mask in train["attention_mask"]) / len(train))


class Timing(TrainerCallback):
    """Starts and stops the watch, and keeps the loss of the first step."""

    def __init__(self, watch: Stopwatch, examples: int) -> None:
        """Hold the watch, and how many examples the steps are for."""
        self.watch, self.first_loss = watch, float("nan")
        self._examples = examples

    def on_step_begin(self, args: TrainingArguments, state: Any, control: Any, **rest: Any) -> None:  # noqa: ANN401
        """Before the first one the clock starts."""
        if state.global_step == 0:
            self.watch.start()

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **rest: Any) -> None:  # noqa: ANN401
        """After the last one it stops."""
        if state.global_step == state.max_steps:
            self.watch.stop(self._examples)

    def on_log(self, args: TrainingArguments, state: Any, control: Any, logs: Any, **rest: Any) -> None:  # noqa: ANN401
        """The first step's loss is logged, and no other."""
        if state.global_step == 1:
            self.first_loss = logs.get("loss", self.first_loss)


class TrainerOfMany(Trainer):
    """Groups few texts as the library groups many: with few it sorts less, and its speed would not be that of many."""

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> SamplerOfMany:
        return SamplerOfMany(self.args.train_batch_size, lengths=list(self.train_dataset["length"]))


class SamplerOfMany(LengthGroupedSampler):
    """Sorts inside windows of 50 batches, as the library does from 200 batches on."""

    def __iter__(self) -> Iterator[int]:
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, 50))


if __name__ == "__main__":
    main(read_job())
