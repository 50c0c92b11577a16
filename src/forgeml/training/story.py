"""The run's steps in words, for the person who watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from forgeml.config.schema import TrainingConfig
from forgeml.data.tokens.pieces import MOST_WINDOWS
from forgeml.errors import counted
from forgeml.events import Note, StepReport
from forgeml.records import Cut, EncodedTexts, Pretrained, Runtime, Source, Split, Splits
from forgeml.training.keeping.checkpoints import Checkpoint
from forgeml.training.stopping import BestSoFar

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from forgeml.training.averaging import Averaging

CLASSES_SHOWN = 8
SEPARATORS = {" ": "a blank", ",": "a comma", ";": "a semicolon"}
WHAT_IS_READ = {"truncate": "{}", "head_tail": "{} (beginning and end are read)", "windows": f"{MOST_WINDOWS} windows"}


def machine(runtime: Runtime) -> Note:
    """What the run computes on."""
    text = f"{runtime.device}, {runtime.precision}, {runtime.threads} threads"
    return Note("machine", "; ".join([text, *runtime.notes]), warning=bool(runtime.notes))


def together(processes: int) -> Note:
    """How the work is shared."""
    return Note("machine", f"{processes} processes, of which each computes its part of every batch")


def model(pretrained: Pretrained) -> list[Note]:
    """Which model, how large, where it was, and what is odd about it."""
    size = megabytes(pretrained.bytes)
    if pretrained.commit is None:
        return [Note("model", f"{pretrained.name}, {size}, a local folder")]
    came = "fetched into" if pretrained.fetched else "cached in"
    told = f"{pretrained.name} at commit {pretrained.commit[:8]}, {size}, {came} {pretrained.folder}"
    return [Note("model", told), *_odd("model", pretrained.note)]


def data(source: Source, splits: Splits) -> list[Note]:
    """Which data, how large, where it was, how they were understood, and what is odd about them."""
    if source.revision is None:
        came = f"local, {megabytes(source.bytes)}"
    else:
        came = f"{megabytes(source.bytes)}, {'fetched into' if source.fetched else 'cached in'} {source.stored}"
    rows = ", ".join(f"{part.name} {len(part):,}" for part in splits.parts())
    told = [Note("data", f"{source.name}, {came}; rows: {rows}"), Note("task", understood(splits))]
    return [*told, *_odd("data", *source.notes, *splits.notes, *findings(splits))]


def understood(splits: Splits) -> str:
    """What was understood of the columns and the labels."""
    names = ", ".join(splits.class_names[:CLASSES_SHOWN]) + (", ..." if len(splits.class_names) > CLASSES_SHOWN else "")
    labels = splits.train.labels
    separator = splits.columns["label_separator"]
    asked = {
        "single_label": f"one of {len(splits.class_names)} classes: {names}",
        "multi_label": f"any of {len(splits.class_names)} classes: {names}"
        + (f"; joined by {SEPARATORS.get(separator, separator)}" if separator else ""),
        "regression": f"a number, in train from {labels.min():g} to {labels.max():g}",
    }
    texts = splits.columns["text_column"]
    columns = [*([texts] if isinstance(texts, str) else texts), splits.columns["text_pair_column"]]
    return f"{asked[splits.task]}; from the columns {', '.join(name for name in columns if name)} to " + (
        f"{splits.columns['label_column']}"
    )


def findings(splits: Splits) -> list[str]:
    """A sentence on each thing in the data that a person should know of."""
    found = splits.duplicates
    left_out = [(part.name, *why) for part in splits.parts() for why in part.left_out.items()]
    told = [f"{counted(count, 'row')} of {name} left out: {why}" for name, why, count in left_out]
    told += [
        f"{count:,} of {len(part):,} texts of {part.name} are empty"
        for part in splits.parts()
        if (count := found.empty[part.name])
    ]
    told += [
        f"{leak.count:,} of {leak.rows:,} texts of {leak.split} ({leak.count / leak.rows:.1%}) also stand in train, "
        f"such as {leak.samples[0]!r}" + ("; test is scored without them too" if leak.split == "test" else "")
        for leak in found.leaks
        if leak.count
    ]
    if found.conflicting:
        listed = ", ".join(map(repr, found.conflicting_samples))
        told.append(f"{found.conflicting:,} texts of train stand there with different labels: {listed}")
    return [*told, *_absent_classes(splits)]


def class_counts(splits: Splits, part: Split) -> dict[str, int]:
    """Examples of each class in a part; empty for numbers."""
    if splits.task == "regression":
        return {}
    several = splits.task == "multi_label"
    counts = part.labels.sum(axis=0) if several else np.bincount(part.labels, minlength=len(splits.class_names))
    return dict(zip(splits.class_names, map(int, counts), strict=True))


def lengths(encoded: EncodedTexts, cut: Cut) -> Note:
    """How long the training texts are, and how many are cut."""
    share = encoded.truncated / max(1, len(encoded))
    mean = len(encoded.ids) / max(1, len(encoded))
    pieces = len(encoded.offsets) - 1
    windows = f" in {pieces:,} windows of up to {cut.max_length}" if encoded.bounds is not None else ""
    longer = f"longer than {WHAT_IS_READ[cut.long_texts].format(cut.max_length)} and are cut"
    return Note("tokens", f"{mean:.0f} a text on average{windows}; {share:.1%} of the texts are {longer}")


def plan(config: TrainingConfig, total_steps: int, *, packed: bool) -> Note:
    """How long the training will be, in steps, and what its batches are like."""
    texts = config.batch_size * config.gradient_accumulation_steps
    epochs = "1 epoch" if config.num_epochs == 1 else f"{config.num_epochs} epochs"
    batches = "packed without padding" if packed else "padded to the longest of a batch"
    return Note("training", f"{total_steps:,} steps of {texts} texts in {epochs}, {batches}")


def goes_on(checkpoint: Checkpoint, total_steps: int) -> Note:
    """Where a run that was cut short goes on."""
    return Note("checkpoint", f"goes on after step {checkpoint.step:,} of {total_steps:,}, from {checkpoint.folder}")


def left_off(step: int | None) -> Note:
    """Where a run that was stopped will go on."""
    what = "there is no checkpoint yet" if step is None else f"a run that goes on does so after step {step:,}"
    return Note("stopped", what, warning=True)


def in_parts(report: StepReport, config: TrainingConfig) -> Note:
    """What was done about memory that did not suffice."""
    texts = -(-config.batch_size // report.parts)
    what = (
        f"not enough for {config.batch_size} texts at once; from step {report.step:,} on {texts} at a time are added up"
    )
    return Note("memory", f"{what}, which gives the same steps", warning=True)


def memory(config: TrainingConfig, max_length: int) -> tuple[str, str]:
    """What needed more memory than there is, and what needs less."""
    what = f"training with {config.batch_size} texts of up to {max_length} tokens in a batch"
    halves = f"training.batch_size: {max(1, config.batch_size // 2)} with training.gradient_accumulation_steps: "
    fix = f"set {halves}{config.gradient_accumulation_steps * 2}, which gives the same steps, or lower model.max_length"
    return what, fix if config.batch_size > 1 else "lower model.max_length, or choose a smaller model"


def stopped_early(best: BestSoFar) -> Note:
    """Why the run ends before its last step."""
    return Note("training", f"no better {best.metric} in {best.patience} evaluations, so the run ends here")


def averaging(averaging: Averaging, model: PreTrainedModel) -> list[Note]:
    """What averaging will do and take, or that there is too little to average."""
    if not averaging.wanted:
        return []
    size = megabytes(averaging.memory(model))
    told = [Note("averaging", f"the weights at the last {averaging.wanted} evaluations, in {size} of memory")]
    if averaging.expected < averaging.wanted:
        what = f"{counted(averaging.expected, 'evaluation')} will be all; a lower logging.eval_interval gives more"
        told.append(Note("averaging", what, warning=True))
    return told


def averaged(averaging: Averaging, best: BestSoFar, kept: bool) -> Note:
    """What came of it, after the evaluation of the mean was told."""
    fewer = averaging.count < averaging.wanted
    asked = f" of the {averaging.wanted} asked for, as the run ended" if fewer else ""
    what = f"that was the mean of the weights at the last {averaging.count} evaluations{asked}"
    so = "it is kept as the best model" if kept else f"step {best.found.step} has a better {best.metric} and is kept"
    return Note("averaging", f"{what}; {so}", warning=fewer)


def _absent_classes(splits: Splits) -> list[str]:
    told = []
    for part in splits.parts():
        absent = [name for name, count in class_counts(splits, part).items() if not count]
        if absent:
            names = ", ".join(absent[:CLASSES_SHOWN]) + (", ..." if len(absent) > CLASSES_SHOWN else "")
            told.append(f"{counted(len(absent), 'class')} without an example in {part.name}: {names}")
    return told


def _odd(topic: str, *notes: str) -> list[Note]:
    return [Note(topic, note, warning=True) for note in notes if note]


def megabytes(size: int) -> str:
    """A size in bytes as people read it, in decimal units as the hub writes them."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}" if size < 10 * factor else f"{size / factor:.0f} {unit}"
    return f"{size / 1e3:.0f} kB"
