"""What a run works on, gathered in order: machine, model, data, tokens, classifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forgeml.config.schema import Config
from forgeml.data import labels
from forgeml.data.source import read_source
from forgeml.data.splits import make_splits
from forgeml.data.tokens import encode
from forgeml.model.pretrained import build_classifier, fetch_pretrained, longest_text, open_tokenizer
from forgeml.records import EncodedTexts, Event, Pretrained, Progress, Runtime, Source, Split, Splits
from forgeml.runtime import choose_runtime, seed_everything
from forgeml.training import story

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Tell = Callable[[Event], None]


@dataclass(frozen=True)
class Materials:
    """All that the fine-tuning works on, and where it came from."""

    runtime: Runtime
    pretrained: Pretrained
    source: Source
    splits: Splits
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    train: EncodedTexts
    validation: EncodedTexts
    model: PreTrainedModel


def gather(config: Config, tell: Tell) -> Materials:
    """Find model and data, check that they go together, and encode the texts.

    Raises:
        ForgeError: of the kind that says whose move mends it: configuration, data, model, machine or hub.
    """
    runtime = choose_runtime(config.training.device, config.training.precision)
    tell(story.machine(runtime))

    pretrained = fetch_pretrained(config.model.name, config.model.revision)
    tokenizer = open_tokenizer(pretrained)
    max_length = longest_text(pretrained, tokenizer, config.model.max_length)
    for note in story.model(pretrained):
        tell(note)

    source = read_source(config.data.dataset, config.data.subset)
    splits = make_splits(source, config.data, config.training.seed)
    labels.check_count(splits.class_names, config.model.num_labels)
    for note in story.data(source, splits):
        tell(note)

    train, validation = (encode_part(tokenizer, part, max_length, tell) for part in (splits.train, splits.validation))
    tell(story.lengths(train, max_length))

    seed_everything(config.training.seed)
    model = build_classifier(pretrained, splits.class_names, tokenizer)
    return Materials(runtime, pretrained, source, splits, tokenizer, max_length, train, validation, model)


def encode_part(tokenizer: PreTrainedTokenizerBase, part: Split, max_length: int, tell: Tell) -> EncodedTexts:
    """Token ids of a part's texts, with progress."""
    return encode(tokenizer, part.texts, max_length, progress(tell, f"tokenize {part.name}", len(part)))


def progress(tell: Tell, task: str, total: int) -> Callable[[int], None]:
    """A listener for the number of things done, who tells it as an event."""
    return lambda done: tell(Progress(task, done, total))
