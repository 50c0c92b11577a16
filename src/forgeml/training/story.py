"""The run's steps in words, for the person who watches."""

from __future__ import annotations

from forgeml.config.schema import TrainingConfig
from forgeml.records import EncodedTexts, Note, Pretrained, Runtime, Source, Splits
from forgeml.training.stopping import BestSoFar

CLASSES_SHOWN = 8


def machine(runtime: Runtime) -> Note:
    """What the run computes on."""
    text = f"{runtime.device}, {runtime.precision}, {runtime.threads} threads"
    return Note("machine", "; ".join([text, *runtime.notes]), warning=bool(runtime.notes))


def model(pretrained: Pretrained) -> list[Note]:
    """Which model, how large, where it was, and what is odd about it."""
    size = megabytes(pretrained.bytes)
    if pretrained.commit is None:
        return [Note("model", f"{pretrained.name}, {size}, a local folder")]
    came = "fetched into" if pretrained.fetched else "cached in"
    told = f"{pretrained.name} at commit {pretrained.commit[:8]}, {size}, {came} {pretrained.folder}"
    return [Note("model", told), *_odd("model", pretrained.note)]


def data(source: Source, splits: Splits) -> list[Note]:
    """Which data, how large, where it was, how many rows in each split, the classes, and what is odd about it."""
    if source.revision is None:
        came = f"local, {megabytes(source.bytes)}"
    else:
        came = f"{megabytes(source.bytes)}, {'fetched into' if source.fetched else 'cached in'} {source.stored}"
    rows = ", ".join(f"{part.name} {len(part):,}" for part in splits.parts())
    names = ", ".join(splits.class_names[:CLASSES_SHOWN]) + (", ..." if len(splits.class_names) > CLASSES_SHOWN else "")
    unlabelled = sum(part.unlabelled for part in splits.parts())
    left_out = f"; {unlabelled:,} rows without a label left out" if unlabelled else ""
    told = Note("data", f"{source.name}, {came}; rows: {rows}; {len(splits.class_names)} classes: {names}{left_out}")
    return [told, *_odd("data", source.note, *splits.notes)]


def lengths(encoded: EncodedTexts, max_length: int) -> Note:
    """How long the training texts are, and how many are cut."""
    share = encoded.truncated / max(1, len(encoded))
    mean = len(encoded.ids) / max(1, len(encoded))
    return Note(
        "tokens", f"{mean:.0f} a text on average; {share:.1%} of the texts are longer than {max_length} and are cut"
    )


def plan(config: TrainingConfig, total_steps: int) -> Note:
    """How long the training will be, in steps."""
    texts = config.batch_size * config.gradient_accumulation_steps
    epochs = "1 epoch" if config.num_epochs == 1 else f"{config.num_epochs} epochs"
    return Note("training", f"{total_steps:,} steps of {texts} texts in {epochs}")


def memory(config: TrainingConfig, max_length: int) -> tuple[str, str]:
    """What needed more memory than there is, and what needs less."""
    what = f"training with {config.batch_size} texts of up to {max_length} tokens in a batch"
    halves = f"training.batch_size: {max(1, config.batch_size // 2)} with training.gradient_accumulation_steps: "
    fix = f"set {halves}{config.gradient_accumulation_steps * 2}, which gives the same steps, or lower model.max_length"
    return what, fix if config.batch_size > 1 else "lower model.max_length, or choose a smaller model"


def stopped_early(best: BestSoFar) -> Note:
    """Why the run ends before its last step."""
    return Note("training", f"no better {best.metric} in {best.patience} evaluations, so the run ends here")


def _odd(topic: str, *notes: str) -> list[Note]:
    return [Note(topic, note, warning=True) for note in notes if note]


def megabytes(size: int) -> str:
    """A size in bytes as people read it, in decimal units as the hub writes them."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}" if size < 10 * factor else f"{size / factor:.0f} {unit}"
    return f"{size / 1e3:.0f} kB"
