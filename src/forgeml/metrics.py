"""Arrays in, numbers out: one function a metric, and for each task the table of its metrics."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan, sqrt
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forgeml.records import DEFAULT_THRESHOLD, Task

if TYPE_CHECKING:
    from forgeml.records import Labels

LOWER_IS_BETTER = frozenset({"loss", "mae", "rmse"})

FEWEST_POSITIVES = 5
"""A class with fewer examples keeps the default threshold: a better one could not be told from chance."""


@dataclass(frozen=True)
class Outcome:
    """What was right and what was said."""

    labels: NDArray[Any]
    """Class ids, shape (examples,); multi-label: 0 or 1, shape (examples, classes); regression: numbers."""
    predicted: NDArray[Any]
    """In the form of the labels."""
    logits: NDArray[np.float64]
    """What the model gave, shape (examples, outputs)."""


def compute_metrics(
    task: Task, logits: NDArray[np.float32], labels: Labels, thresholds: Sequence[float] | None = None
) -> dict[str, float]:
    """All metrics of a task; one that is not defined on these examples is left out.

    Args:
        task: which table of `METRICS`.
        logits: shape (examples, classes); regression: (examples, 1).
        labels: class ids, shape (examples,); multi-label: 0 or 1, shape (examples, classes); regression: numbers.
        thresholds: multi-label: probability from which on a class is said, for each class; left out: 0.5.
    """
    outcome = Outcome(labels, _predicted(task, logits, thresholds), logits.astype(np.float64))
    # The logits of a training that went astray are not finite; that is told by the loss, not by warnings.
    with np.errstate(invalid="ignore", over="ignore"):
        values = {name: float(metric(outcome)) for name, metric in METRICS[task].items()}
    return {name: value for name, value in values.items() if isfinite(value) or name == "loss"}


def is_defined(task: Task, metric: str, labels: Labels) -> bool:
    """Whether a metric can be told on these labels at all, by a model that is always right."""
    if task == "single_label":
        right = np.eye(max(2, int(labels.max()) + 1), dtype=np.float32)[labels]
    else:
        right = np.where(labels > 0, 1, -1) if task == "multi_label" else labels[:, None]
    return isfinite(METRICS[task][metric](Outcome(labels, _predicted(task, right, None), right.astype(np.float64))))


def is_better(metric: str, candidate: float, best: float) -> bool:
    """Whether `candidate` beats `best`; a tie keeps the earlier one, and any number beats one that is not finite."""
    if not isfinite(candidate) or not isfinite(best):
        return isfinite(candidate)
    return candidate < best if metric in LOWER_IS_BETTER else candidate > best


def best_thresholds(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> list[float]:
    """The probability for each class from which on saying it gives the highest F1 on these examples.

    A threshold lies halfway between the last probability that is taken and the first that is not.

    Args:
        logits: shape (examples, classes).
        labels: 0 or 1, shape (examples, classes).
    """
    probabilities = _sigmoid(logits)
    return [_best_threshold(*pair) for pair in zip(probabilities.T, labels.T, strict=True)]


def accuracy(outcome: Outcome) -> float:
    """Share of the examples whose class is right; multi-label: whose classes are all right."""
    return float(_scikit().accuracy_score(outcome.labels, outcome.predicted))


def f1(outcome: Outcome, average: str) -> float:
    """Harmonic mean of precision and recall, averaged over the classes."""
    return float(_scikit().f1_score(outcome.labels, outcome.predicted, average=average, zero_division=0))


def precision(outcome: Outcome, average: str) -> float:
    """Share of what was said that is right, averaged over the classes."""
    return float(_scikit().precision_score(outcome.labels, outcome.predicted, average=average, zero_division=0))


def recall(outcome: Outcome, average: str) -> float:
    """Share of what is right that was said, averaged over the classes."""
    return float(_scikit().recall_score(outcome.labels, outcome.predicted, average=average, zero_division=0))


def matthews(outcome: Outcome) -> float:
    """Matthews correlation coefficient: 1 for all right, about 0 for chance."""
    return float(_scikit().matthews_corrcoef(outcome.labels, outcome.predicted)) if np.ptp(outcome.labels) > 0 else nan


def roc_auc(outcome: Outcome) -> float:
    """Area under the ROC curve; more than two classes: each against the rest, averaged over those that can be told."""
    if not np.isfinite(outcome.logits).all():
        return nan
    truths, scores = _one_against_rest(outcome)
    pairs = zip(truths, scores, strict=True)
    areas = [_scikit().roc_auc_score(truth, score) for truth, score in pairs if 0 < truth.mean() < 1]
    return float(np.mean(areas)) if areas else nan


def mean_average_precision(outcome: Outcome) -> float:
    """Area under the precision-recall curve, averaged over the classes that occur."""
    if not np.isfinite(outcome.logits).all():
        return nan
    pairs = zip(outcome.labels.T, outcome.logits.T, strict=True)
    areas = [_scikit().average_precision_score(truth, score) for truth, score in pairs if truth.any()]
    return float(np.mean(areas)) if areas else nan


def pearson(outcome: Outcome) -> float:
    """Linear correlation of what was said and what is right."""
    return float(_statistics().pearsonr(outcome.predicted, outcome.labels).statistic) if _vary(outcome) else nan


def spearman(outcome: Outcome) -> float:
    """Correlation of the ranks of what was said and what is right."""
    return float(_statistics().spearmanr(outcome.predicted, outcome.labels).statistic) if _vary(outcome) else nan


def mae(outcome: Outcome) -> float:
    """Mean distance, in the unit of the labels."""
    return float(np.mean(np.abs(_distances(outcome))))


def mse(outcome: Outcome) -> float:
    """Mean squared distance, in the squared unit of the labels."""
    return float(np.mean(_distances(outcome) ** 2))


def rmse(outcome: Outcome) -> float:
    """Root of the mean squared distance, in the unit of the labels."""
    return sqrt(mse(outcome))


def cross_entropy(outcome: Outcome) -> float:
    """Mean negative log-likelihood of the labels in nats."""
    log_probabilities = _log_softmax(outcome.logits)
    return -float(np.mean(log_probabilities[np.arange(len(outcome.labels)), outcome.labels]))


def binary_cross_entropy(outcome: Outcome) -> float:
    """Mean negative log-likelihood in nats of each class being there or not, over examples and classes."""
    return float(np.mean(np.logaddexp(0, outcome.logits) - outcome.labels * outcome.logits))


METRICS: Mapping[Task, Mapping[str, Callable[[Outcome], float]]] = {
    "single_label": {
        "accuracy": accuracy,
        "macro_f1": lambda outcome: f1(outcome, "macro"),
        "weighted_f1": lambda outcome: f1(outcome, "weighted"),
        "macro_precision": lambda outcome: precision(outcome, "macro"),
        "macro_recall": lambda outcome: recall(outcome, "macro"),
        "matthews": matthews,
        "roc_auc": roc_auc,
        "loss": cross_entropy,
    },
    "multi_label": {
        "micro_f1": lambda outcome: f1(outcome, "micro"),
        "macro_f1": lambda outcome: f1(outcome, "macro"),
        "weighted_f1": lambda outcome: f1(outcome, "weighted"),
        "micro_precision": lambda outcome: precision(outcome, "micro"),
        "micro_recall": lambda outcome: recall(outcome, "micro"),
        "mean_average_precision": mean_average_precision,
        "roc_auc": roc_auc,
        "subset_accuracy": accuracy,
        "loss": binary_cross_entropy,
    },
    "regression": {"pearson": pearson, "spearman": spearman, "mae": mae, "rmse": rmse, "loss": mse},
}
"""The metrics of each task by name. All but those of `LOWER_IS_BETTER` are best when high."""

DEFAULT_METRIC: Mapping[Task, str] = {
    "single_label": "accuracy",
    "multi_label": "mean_average_precision",
    "regression": "rmse",
}
"""What decides which model is the best, unless the configuration says otherwise."""


def _scikit() -> ModuleType:
    """scikit-learn's metrics; loaded at the first evaluation, as that takes a second and 40 MB that no step needs."""
    return importlib.import_module("sklearn.metrics")


def _statistics() -> ModuleType:
    """scipy's; loaded late for the same reason."""
    return importlib.import_module("scipy.stats")


def _predicted(task: Task, logits: NDArray[np.float32], thresholds: Sequence[float] | None) -> NDArray[Any]:
    if task == "regression":
        return logits[:, 0]
    if task == "single_label":
        return np.asarray(logits.argmax(axis=1))
    limits = np.full(logits.shape[1], DEFAULT_THRESHOLD) if thresholds is None else np.asarray(thresholds)
    return (_sigmoid(logits) >= limits).astype(np.uint8)


def _best_threshold(probabilities: NDArray[np.float64], truth: NDArray[np.uint8]) -> float:
    positives = int(truth.sum())
    if positives < FEWEST_POSITIVES:
        return DEFAULT_THRESHOLD
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    f1_of_first = 2 * np.cumsum(truth[order]) / (np.arange(1, len(ranked) + 1) + positives)
    # Equal probabilities are said together or not at all.
    f1_of_first[:-1][ranked[:-1] == ranked[1:]] = -1
    last = int(f1_of_first.argmax())
    following = ranked[last + 1] if last + 1 < len(ranked) else 0.0
    halfway = (ranked[last] + following) / 2
    # Between neighbouring floating-point numbers there is none.
    return float(halfway if halfway > following else ranked[last])


def _one_against_rest(outcome: Outcome) -> tuple[Any, Any]:
    """For each question to be asked of the scores: which examples are positive, and how each one scores."""
    classes = outcome.logits.shape[1]
    if outcome.labels.ndim == 2:
        return outcome.labels.T, outcome.logits.T
    scores = _log_softmax(outcome.logits)
    asked = [1] if classes == 2 else range(classes)
    return [outcome.labels == index for index in asked], [scores[:, index] for index in asked]


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return log_probabilities


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        probabilities: NDArray[np.float64] = np.exp(-np.logaddexp(0, -logits.astype(np.float64)))
    return probabilities


def _distances(outcome: Outcome) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = outcome.predicted.astype(np.float64) - outcome.labels
    return distances


def _vary(outcome: Outcome) -> bool:
    """Whether a correlation is defined."""
    values = (outcome.labels, outcome.predicted)
    return len(outcome.labels) > 1 and all(np.isfinite(one).all() and np.ptp(one) > 0 for one in values)
