"""What a run works on, gathered in order: machine, model, data, tokens, classifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from forgeml.config.schema import Config
from forgeml.data.batches import Collate, collate, pack
from forgeml.data.labels import classes
from forgeml.data.source import read_source
from forgeml.data.splits import make_splits
from forgeml.data.tokens.encoding import encode_kept
from forgeml.errors import ConfigError, DataError, nearest
from forgeml.events import Event, Note, Progress
from forgeml.metrics import METRICS, is_defined
from forgeml.model.heads import start_at_base_rates
from forgeml.model.packed.passing import Hooks
from forgeml.model.packed.recognizing import pack as let_pack
from forgeml.model.pretrained import (
    build_classifier,
    fetch_pretrained,
    longest_text,
    open_tokenizer,
)
from forgeml.model.saved import Fold
from forgeml.model.scale import Scale, find_scale, tells_a_number
from forgeml.records import Cut, EncodedTexts, Pretrained, Runtime, Source, Split, Splits
from forgeml.runtime import choose_runtime, seed_everything
from forgeml.training import story
from forgeml.training.memory import check_weights
from forgeml.training.processes import ALONE, Processes, oddities
from forgeml.training.recipes import apply_recipes

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Tell = Callable[[Event], None]


@dataclass(frozen=True)
class Reader:
    """A pre-trained model's files, and how it reads texts."""

    pretrained: Pretrained
    tokenizer: PreTrainedTokenizerBase
    cut: Cut


@dataclass(frozen=True)
class Materials:
    """All that the fine-tuning works on, and where it came from."""

    runtime: Runtime
    pretrained: Pretrained
    source: Source
    splits: Splits
    tokenizer: PreTrainedTokenizerBase
    cut: Cut
    train: EncodedTexts
    validation: EncodedTexts
    model: PreTrainedModel
    scale: Scale | None
    """Of the numbers of a regression."""
    folds: tuple[Fold, ...]
    """What the weights go through when they are saved."""
    packing: Hooks | None
    """Through which the model takes packed batches; None: it takes padded ones alone."""
    processes: Processes = ALONE
    """Those that work on it together, each with materials of its own."""

    @property
    def collate(self) -> Collate:
        """Makes the batches that the model is trained with."""
        return pack if self.packing else collate


@dataclass(frozen=True)
class Settled:
    """What the main process has found out, and the others take over, so that all of them work on the same."""

    precision: str
    model_commit: str | None
    data_commit: str | None
    fingerprint: str

    @classmethod
    def by(cls, materials: Materials) -> Self:
        """What is settled once these are gathered."""
        revision, fingerprint = materials.source.revision, materials.splits.fingerprint
        return cls(materials.runtime.precision, materials.pretrained.commit, revision, fingerprint)

    def settle(self, config: Config) -> Config:
        """The configuration with what was left open in it."""
        model = config.model.model_copy(update={"revision": self.model_commit})
        data = config.data.model_copy(update={"revision": self.data_commit})
        training = config.training.model_copy(update={"precision": self.precision})
        return config.model_copy(update={"model": model, "data": data, "training": training})


def gather(config: Config, tell: Tell, processes: Processes = ALONE) -> Materials:
    """Find model and data, check that they go together, and encode the texts.

    Of several processes the main one does it first; the others find everything in the caches then.

    Raises:
        ForgeError: of the kind that says whose move mends it: configuration, data, model, machine or hub.
    """

    def work(settled: Settled | None) -> Materials:
        own = settled.settle(config) if settled else config
        runtime = find_machine(own, tell)
        if processes.count > 1:
            tell(story.together(processes.count))
        for odd in oddities(processes, runtime.device):
            tell(Note("machine", odd, warning=True))
        reader = find_model(own, tell)
        source, splits = find_data(own, tell, hub_away=reader.pretrained.hub_away)
        if settled and splits.fingerprint != settled.fingerprint:
            raise _other_data(processes, source)
        return replace(put_together(own, runtime, reader, (source, splits), tell), processes=processes)

    return processes.main_first(work, Settled.by)


def find_machine(config: Config, tell: Tell) -> Runtime:
    """What the run computes on.

    Raises:
        MachineError: the device is not there or cannot compute in that precision.
    """
    runtime = choose_runtime(config.training.device, config.training.precision)
    tell(story.machine(runtime))
    return runtime


def find_model(config: Config, tell: Tell) -> Reader:
    """The model's files, its tokenizer, and how long a text may be.

    Raises:
        ForgeError: the model is not there, damaged, or reads less than the configuration says.
    """

    def check_length(described: Pretrained) -> None:
        longest_text(described, open_tokenizer(described), config.model.max_length)

    pretrained = fetch_pretrained(config.model.name, config.model.revision, check_length)
    tokenizer = open_tokenizer(pretrained, _warning(tell))
    max_length = longest_text(pretrained, tokenizer, config.model.max_length)
    for note in story.model(pretrained):
        tell(note)
    return Reader(pretrained, tokenizer, Cut(max_length, config.model.long_texts))


def find_data(config: Config, tell: Tell, *, hub_away: bool = False) -> tuple[Source, Splits]:
    """The rows as they came in, and as train, validation and test.

    Args:
        config: the resolved configuration.
        tell: is given notes and progress.
        hub_away: the hub was asked in vain a moment ago, so data that are cached serve without one more question.

    Raises:
        ForgeError: the data are not there or cannot be learnt from, or settings do not go with them.
    """
    report = reporter(tell)
    source = read_source(config.data, report, hub_away=hub_away)
    splits = make_splits(source, config.data, config.training.seed, report)
    _check_settings(config, splits)
    for note in story.data(source, splits):
        tell(note)
    return source, splits


def put_together(
    config: Config, runtime: Runtime, reader: Reader, data: tuple[Source, Splits], tell: Tell
) -> Materials:
    """Build the classifier and encode the texts.

    Raises:
        ConfigError: a setting does not go with the model.
        ModelError: the weights are not this model's.
    """
    source, splits = data
    # Before the texts are encoded, which takes long where there are many: weights that are no good are told at once.
    check_weights(config.training, reader.pretrained, runtime.device)
    seed_everything(config.training.seed)
    model = build_classifier(reader.pretrained, splits.task, splits.class_names, reader.tokenizer, _warning(tell))
    if splits.task == "multi_label":
        start_at_base_rates(model, splits.train.labels.mean(axis=0))
    scale = find_scale(model, splits.train.labels) if splits.task == "regression" else None
    if scale and tells_a_number(reader.pretrained):
        scale.unfold(model)
    folds = (*apply_recipes(model, config.training), *([scale.folded] if scale else []))
    packing = _packing(config, model)
    train, validation = (encode_part(reader, splits, part, tell) for part in (splits.train, splits.validation))
    tell(story.lengths(train, reader.cut))
    read = (reader.pretrained, source, splits, reader.tokenizer, reader.cut)
    return Materials(runtime, *read, train, validation, model, scale, folds, packing)


def _packing(config: Config, model: PreTrainedModel) -> Hooks | None:
    """The way of packed batches through the model, if they are wanted and it takes them."""
    wanted = config.training.packing
    hooks = None if wanted == "off" else let_pack(model)
    if wanted == "on" and hooks is None:
        what = f"{type(model).__name__} takes padded batches alone: its attention or its head is of another kind"
        raise ConfigError.at("training.packing", what, "leave it out, or set it to auto or off")
    return hooks


def encode_part(reader: Reader, splits: Splits, part: Split, tell: Tell) -> EncodedTexts:
    """Token ids of a part's texts, from the cache if they are there, with progress."""
    on_progress = progress(tell, f"tokenize {part.name}", len(part))
    return encode_kept(reader.tokenizer, part.texts, reader.cut, splits.fingerprints[part.name], on_progress)


def progress(tell: Tell, task: str, total: int) -> Callable[[int], None]:
    """A listener for the number of things done, who tells it as an event."""
    return lambda done: tell(Progress(task, done, total))


def reporter(tell: Tell) -> Callable[[str, int, int], None]:
    """A listener for the work, how much of it is done and how much there is, who tells it as an event."""
    return lambda work, done, total: tell(Progress(work, done, total))


def _warning(tell: Tell) -> Callable[[str], None]:
    """A listener for sentences on the model, who tells them as warnings."""
    return lambda text: tell(Note("model", text, warning=True))


def _other_data(processes: Processes, source: Source) -> DataError:
    what = f"{source.name} holds other rows on the machine of process {processes.rank} than on that of process 0"
    return DataError.at("data.dataset", what, "copy the data to every machine, or put them into a shared folder")


def _check_settings(config: Config, splits: Splits) -> None:
    """Hold the settings whose choices depend on the task against the data."""
    classes.check_count(splits.class_names, config.model.num_labels)
    metric, names = config.training.best_metric, METRICS[splits.task]
    if metric is not None and metric not in names:
        what = f"{metric} is no metric of a {splits.task} task; it has {', '.join(names)}"
        raise ConfigError.at("training.best_metric", what, f"choose {nearest(metric, names) or next(iter(names))}")
    if metric is not None and not is_defined(splits.task, metric, splits.validation.labels):
        what = f"{metric} is not defined on validation, whose {len(splits.validation):,} labels are too much alike"
        raise ConfigError.at("training.best_metric", what, "choose loss, or another data.validation_split")
    of_classes = {
        "data.min_count": config.data.min_count > 1,
        "training.class_weights": config.training.class_weights,
        "training.label_smoothing": config.training.label_smoothing,
    }
    for name, given in of_classes.items():
        if given and splits.task == "regression":
            what = "this is for classes, and the labels are numbers, which have none"
            raise ConfigError.at(name, what, "leave it out")
