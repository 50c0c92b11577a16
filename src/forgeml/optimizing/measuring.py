"""How well and how fast engines answer, all on the same texts: against fp32 for what they say, in turn for the time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import nan
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forgeml.data.texts import read
from forgeml.inference.classifier import Classifier
from forgeml.metrics import LOWER_IS_BETTER, compute_metrics
from forgeml.model.logits import Logits, sigmoid
from forgeml.records import ListedTexts, Split, Task

if TYPE_CHECKING:
    from forgeml.records import Labels

ROUNDS = 3
"""Every engine has its turn so many times; noise of the machine then meets all of them."""
ROUND_S = 2.0
"""Seconds that the reference takes for the texts of a round, about."""
SINGLE_TEXTS = 15
"""Texts of a round that are answered one by one."""
FEWEST_TEXTS, MOST_TEXTS = 32, 512
"""Texts of a round that are answered together."""

SAME_VALUE = 0.05
"""Numbers of a regression agree when they differ by up to so many standard deviations of the labels."""


@dataclass(frozen=True)
class Quality:
    """What an engine says, compared with fp32."""

    agreement: float
    """Share of the texts of which it says the same."""
    value: float
    """Of the metric."""
    drop: float
    """How much worse the metric is: points of 100, or percent of it where lower is better; below 0 it is better."""


@dataclass(frozen=True)
class Speed:
    """How fast an engine answers."""

    texts_per_second: float
    """Many texts of mixed lengths, tokenizing included."""
    ms_one_text: float
    """Median time for one text alone."""


def quality(classifier: Classifier, part: Split, metric: str, exact: Logits, found: Logits) -> Quality:
    """Compare logits with those of fp32.

    Args:
        classifier: whose task and thresholds count.
        part: the labelled texts.
        metric: one of the task's.
        exact: logits of fp32, shape (texts, outputs).
        found: those of the engine, same shape.
    """
    thresholds = classifier.thresholds
    same = _agreement(classifier.task, exact, found, thresholds, part.labels)
    # A metric that is not defined for what an engine says is worse than any.
    before, now = (
        compute_metrics(classifier.task, logits, part.labels, thresholds.tolist()).get(metric, nan)
        for logits in (exact, found)
    )
    worse = (now - before) / max(abs(before), 1e-9) if metric in LOWER_IS_BETTER else before - now
    return Quality(same, now, 100 * worse)


def speeds(
    classifiers: Mapping[str, Classifier], part: Split, on_progress: Callable[[int, int], None]
) -> dict[str, Speed]:
    """Time all engines in turn.

    Args:
        classifiers: by the name of their engine; the first one is the reference.
        part: texts to choose from.
        on_progress: told the turns done and those in all.
    """
    order = np.random.default_rng(0).permutation(len(part))
    firsts, seconds = read(part.texts, 0, len(part))
    shuffled = ListedTexts([firsts[i] for i in order], None if seconds is None else [seconds[i] for i in order])
    names = list(classifiers)
    count = _texts_in_round(classifiers[names[0]], shuffled)
    many = ListedTexts(*read(shuffled, 0, count))
    rates: dict[str, list[float]] = {name: [] for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(ROUNDS):
        for place, name in enumerate(names):
            classifier = classifiers[name]
            # What was at work before may still hold the processor for a moment.
            _one_by_one(classifier, many, 2)
            times[name] += _one_by_one(classifier, many, SINGLE_TEXTS)
            rates[name].append(count / _timed(partial(classifier.logits, many)))
            on_progress(turn * len(names) + place + 1, ROUNDS * len(names))
    return {name: Speed(statistics.median(rates[name]), 1000 * statistics.median(times[name])) for name in names}


def _agreement(task: Task, exact: Logits, found: Logits, thresholds: NDArray[np.float64], labels: Labels) -> float:
    if not np.isfinite(found).all():
        return 0.0
    if task == "regression":
        near = SAME_VALUE * max(float(np.std(labels)), 1e-9)
        return float(np.mean(np.abs(exact - found) <= near))
    if task == "multi_label":
        said = [sigmoid(logits) >= thresholds for logits in (exact, found)]
        return float(np.mean((said[0] == said[1]).all(axis=1)))
    return float(np.mean(exact.argmax(axis=1) == found.argmax(axis=1)))


def _texts_in_round(reference: Classifier, texts: ListedTexts) -> int:
    few = ListedTexts(*read(texts, 0, FEWEST_TEXTS))
    reference.logits(few)
    rate = len(few) / _timed(lambda: reference.logits(few))
    return min(len(texts), MOST_TEXTS, max(FEWEST_TEXTS, round(rate * ROUND_S)))


def _one_by_one(classifier: Classifier, texts: ListedTexts, count: int) -> list[float]:
    """Seconds for each of some texts alone."""
    alone = [ListedTexts(*read(texts, place, place + 1)) for place in range(min(count, len(texts)))]
    return [_timed(partial(classifier.predict, one.firsts, one.seconds)) for one in alone]


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
