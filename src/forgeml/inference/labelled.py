"""Labelled texts for a classifier that is trained already, read as its training has read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from forgeml.config.loading import data_section
from forgeml.config.schema import DataConfig
from forgeml.data.source import read_source
from forgeml.data.splits import labelled_split
from forgeml.errors import ConfigError, Problem, counted
from forgeml.events import Event, Note, Progress
from forgeml.inference.classifier import Classifier
from forgeml.records import Split

AS_IN_TRAINING = ("text_column", "text_pair_column", "label_column", "label_separator")
"""Settings that are taken from the saved model unless they are given."""
HOW_TO_READ = (*AS_IN_TRAINING, "revision", "delimiter", "encoding", "field", "on_bad_rows")
"""Settings that have a meaning for data that are only scored."""


def how_to_read(
    classifier: Classifier, given: Mapping[str, Any], overrides: Sequence[tuple[str, str]] = ()
) -> DataConfig:
    """The columns as in training unless others are given; settings win over both.

    Args:
        classifier: whose manifest has the columns, and which knows its task.
        given: settings of `data` by name; those without a value do not count.
        overrides: settings as they are written on a command line.

    Raises:
        ConfigError: a setting that has no meaning here, or a value that it cannot have.
    """
    foreign = [name for name, _ in overrides if name.removeprefix("data.") not in HOW_TO_READ]
    if foreign:
        fix = f"these have one: {', '.join(f'--data.{name}' for name in HOW_TO_READ)}"
        raise ConfigError([Problem(f"--{name}", "has no meaning here", fix) for name in foreign])
    columns = {name: classifier.manifest.get("data", {}).get(name) for name in AS_IN_TRAINING}
    chosen = {name: value for name, value in given.items() if value}
    return data_section({"task": classifier.task, **columns, **chosen}, overrides)


def read_labelled(
    classifier: Classifier, config: DataConfig, split: str | None, tell: Callable[[Event], None]
) -> Split:
    """The rows of a split that have labels, once what is odd about them has been told.

    Args:
        classifier: whose label map counts.
        config: where the data are, and how they are to be read.
        split: split or slice; None for `test` if there is one, else the only split.
        tell: is given what there is to say.

    Raises:
        ConfigError: pairs of texts for a model of single ones, or the other way around.
        DataError: not there, not readable, or with labels that the classifier does not know.
    """
    source = read_source(config, lambda work, done, total: tell(Progress(work, done, total)))
    rare = classifier.manifest.get("data", {}).get("rare_labels", ())
    part = labelled_split(source, split, config, classifier.labels, rare)
    _check_pairs(classifier.pairs, part.texts.pairs)
    left_out = [f"{counted(count, 'row')} left out: {why}" for why, count in part.left_out.items()]
    for note in (*source.notes, *left_out):
        tell(Note("data", note, warning=True))
    return part


def _check_pairs(trained_on_pairs: bool | None, pairs: bool) -> None:
    """Refuse single texts where the model was trained on pairs, and pairs where it was not: figures would mislead."""
    if trained_on_pairs not in (None, pairs):
        kind, fix = ("pairs of", "set") if trained_on_pairs else ("single", "leave out")
        what = f"this model was trained on {kind} texts, and the data are not"
        raise ConfigError.at("--data.text_pair_column", what, f"{fix} --data.text_pair_column")
