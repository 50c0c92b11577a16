"""Labelled texts that a model was not trained on, to measure with, and others to set eight-bit numbers by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forgeml.config.schema import Config, DataConfig
from forgeml.errors import DataError, ForgeError, ModelError, Problem, first_line
from forgeml.events import Event
from forgeml.inference.classifier import Classifier
from forgeml.inference.labelled import read_labelled
from forgeml.model.manifest import MANIFEST
from forgeml.records import ColumnTexts, Split
from forgeml.training.materials import find_data

CALIBRATION_TEXTS = 256
"""Enough that more of them change nothing that can be measured."""
SEED = 0
"""Of the draw of texts, so that two runs measure with the same ones."""


@dataclass(frozen=True)
class Samples:
    """Texts to optimize a model by."""

    measured: Split
    """Held out of the training, and of what numbers are set by."""
    calibration: ColumnTexts
    data: str
    """Name of the data set."""


def from_training(classifier: Classifier, most: int, tell: Callable[[Event], None]) -> Samples:
    """Samples of the data that the model was trained on: measured on test, or else on validation.

    Args:
        classifier: with a manifest, which has the configuration of its training.
        most: texts to measure with at most.
        tell: is given what there is to say of the data.

    Raises:
        DataError: the data are no longer there, or have changed.
    """
    fix = "give labelled texts that the model was not trained on: forgeml optimize MODEL DATA"
    try:
        config = Config.model_validate(classifier.manifest["config"])
    except ValueError as error:
        what = f"its configuration is that of another ForgeML: {first_line(error)}"
        raise ModelError.at(MANIFEST, what, fix) from error
    try:
        source, splits = find_data(config, tell)
    except ForgeError as error:
        problems = [replace(problem, fix=f"{problem.fix}; or {fix}") for problem in error.problems]
        raise type(error)(problems) from error
    if splits.fingerprint != classifier.manifest["data"].get("fingerprint"):
        what = f"{source.name} has changed since the model was trained, so parts of it may not be held out any more"
        raise DataError.at(MANIFEST, what, fix)
    held_out = splits.test or splits.validation
    calibration = splits.train.texts
    chosen = _draw(len(splits.train), CALIBRATION_TEXTS)
    return Samples(_some(held_out, most), replace(calibration, rows=calibration.rows[chosen]), source.name)


def from_data(
    classifier: Classifier, config: DataConfig, split: str | None, most: int, tell: Callable[[Event], None]
) -> Samples:
    """Samples of other labelled texts: a part of them to set numbers by, the rest to measure with.

    Args:
        classifier: whose label map counts.
        config: where the data are, and how they are to be read.
        split: split or slice; None for `test` if there is one, else the only split.
        most: texts to measure with at most.
        tell: is given what there is to say of the data.

    Raises:
        ConfigError: the data do not go with the model.
        DataError: not there, not readable, or too few texts.
    """
    part = read_labelled(classifier, config, split, tell)
    aside = min(CALIBRATION_TEXTS, len(part) // 5)
    if aside < 1:
        what = f"{len(part)} texts; some are needed to set numbers by, and the rest to measure with"
        raise DataError([Problem("DATA", what, "give some hundred labelled texts or more")])
    order = np.random.default_rng(SEED).permutation(len(part))
    calibration = replace(part.texts, rows=part.texts.rows[np.sort(order[:aside])])
    rest = _taken(part, np.sort(order[aside:]))
    return Samples(_some(rest, most), calibration, str(config.dataset))


def refuse_foreign(classifier: Classifier, folder: str) -> None:
    """See that the folder can say what it was trained for.

    Raises:
        ModelError: something else than ForgeML has saved it.
    """
    if not classifier.manifest:
        what = f"no {MANIFEST}: it was not saved by forgeml train"
        fix = "train it with forgeml train, or write a file for other tools with forgeml export"
        raise ModelError.at(folder, what, fix)


def _draw(size: int, most: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(SEED).permutation(size)[:most])


def _some(part: Split, most: int) -> Split:
    return part if len(part) <= most else _taken(part, _draw(len(part), most))


def _taken(part: Split, chosen: NDArray[np.int64]) -> Split:
    texts = replace(part.texts, rows=part.texts.rows[chosen])
    return replace(part, texts=texts, labels=part.labels[chosen])
