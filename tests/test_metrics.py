"""Numbers from arrays."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from numpy.typing import NDArray
from scipy import stats

from forgeml.metrics import (
    DEFAULT_METRIC,
    FEWEST_POSITIVES,
    LOWER_IS_BETTER,
    METRICS,
    Outcome,
    best_thresholds,
    compute_metrics,
    cross_entropy,
    is_better,
    is_defined,
)
from forgeml.records import DEFAULT_THRESHOLD, Task

RANDOM = np.random.default_rng(0)


def _column(*logits: float) -> NDArray[np.float32]:
    return np.array(logits, np.float32)[:, None]


@pytest.mark.parametrize("classes", [2, 3, 20])
def test_metrics_of_one_class_a_text_agree_with_their_definitions(classes: int) -> None:
    """Each figure is the one that scikit-learn and torch compute by its name."""
    logits = RANDOM.normal(size=(200, classes)).astype(np.float32)
    labels = RANDOM.integers(classes, size=200)
    predicted, macro = logits.argmax(axis=1), {"average": "macro", "zero_division": 0}
    probabilities = torch.from_numpy(logits).double().softmax(dim=1).numpy()
    scores = probabilities[:, 1] if classes == 2 else probabilities
    expected = {
        "accuracy": sk.accuracy_score(labels, predicted),
        "macro_f1": sk.f1_score(labels, predicted, **macro),
        "weighted_f1": sk.f1_score(labels, predicted, average="weighted"),
        "macro_precision": sk.precision_score(labels, predicted, **macro),
        "macro_recall": sk.recall_score(labels, predicted, **macro),
        "matthews": sk.matthews_corrcoef(labels, predicted),
        "roc_auc": sk.roc_auc_score(labels, scores, multi_class="ovr"),
        "loss": float(torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))),
    }
    found = compute_metrics("single_label", logits, labels)
    assert found.keys() == expected.keys()
    assert all(type(value) is float for value in found.values())
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("thresholds", [None, [0.2, 0.5, 0.9]])
def test_metrics_of_several_classes_a_text_agree_with_their_definitions(thresholds: list[float] | None) -> None:
    """Each figure is the one that scikit-learn and torch compute by its name, with the thresholds that are given."""
    logits = RANDOM.normal(size=(200, 3)).astype(np.float32)
    labels = RANDOM.integers(2, size=(200, 3)).astype(np.uint8)
    probabilities = torch.from_numpy(logits).double().sigmoid().numpy()
    predicted = (probabilities >= np.array(thresholds or [DEFAULT_THRESHOLD] * 3)).astype(int)
    expected = {
        "micro_f1": sk.f1_score(labels, predicted, average="micro"),
        "macro_f1": sk.f1_score(labels, predicted, average="macro"),
        "weighted_f1": sk.f1_score(labels, predicted, average="weighted"),
        "micro_precision": sk.precision_score(labels, predicted, average="micro"),
        "micro_recall": sk.recall_score(labels, predicted, average="micro"),
        "mean_average_precision": sk.average_precision_score(labels, probabilities, average="macro"),
        "roc_auc": sk.roc_auc_score(labels, probabilities, average="macro"),
        "subset_accuracy": np.mean((labels == predicted).all(axis=1)),
        "loss": float(
            torch.nn.functional.binary_cross_entropy_with_logits(
                torch.from_numpy(logits), torch.from_numpy(labels).float()
            )
        ),
    }
    found = compute_metrics("multi_label", logits, labels, thresholds)
    assert found.keys() == expected.keys()
    assert all(type(value) is float for value in found.values())
    assert found == pytest.approx(expected, rel=1e-5)


def test_metrics_of_numbers_agree_with_their_definitions() -> None:
    """Each figure is the one that scipy and scikit-learn compute by its name; the loss is the squared error."""
    labels = RANDOM.normal(size=50).astype(np.float32)
    logits = (labels + RANDOM.normal(size=50))[:, None].astype(np.float32)
    found = compute_metrics("regression", logits, labels)
    assert found == pytest.approx(
        {
            "pearson": stats.pearsonr(logits[:, 0], labels).statistic,
            "spearman": stats.spearmanr(logits[:, 0], labels).statistic,
            "mae": sk.mean_absolute_error(labels, logits[:, 0]),
            "rmse": sk.root_mean_squared_error(labels, logits[:, 0]),
            "loss": sk.mean_squared_error(labels, logits[:, 0]),
        },
        rel=1e-5,
    )


HAND_WORKED: dict[str, tuple[Task, Any, Any, dict[str, float]]] = {
    # Said: 0, 0, 1, 0; right: 0, 1, 1, 1.
    "one class": (
        "single_label",
        [[1, 0], [1, 0], [0, 1], [1, 0]],
        [0, 1, 1, 1],
        {"accuracy": 2 / 4, "macro_f1": (2 / 4 + 2 / 4) / 2, "macro_precision": (1 / 3 + 1) / 2, "roc_auc": 2 / 3}
        | {"macro_recall": (1 + 1 / 3) / 2, "weighted_f1": 0.5, "matthews": 1 / 3},
    ),
    # Said: ab, b, nothing; right: a, b, b.
    "several classes": (
        "multi_label",
        [[1, 1], [-1, 1], [-1, -1]],
        [[1, 0], [0, 1], [0, 1]],
        {"micro_precision": 2 / 3, "micro_recall": 2 / 3, "micro_f1": 2 / 3, "subset_accuracy": 1 / 3}
        | {"macro_f1": (1 + 1 / 2) / 2, "weighted_f1": (1 + 2 * 1 / 2) / 3},
    ),
    "numbers": (
        "regression",
        [[1], [2], [5]],
        [1, 4, 4],
        {"mae": (0 + 2 + 1) / 3, "loss": 5 / 3, "rmse": math.sqrt(5 / 3), "spearman": math.sqrt(3) / 2},
    ),
}


@pytest.mark.parametrize("case", HAND_WORKED)
def test_metrics_are_those_worked_out_by_hand(case: str) -> None:
    """On a few examples the figures are the fractions that paper and pencil give."""
    task, logits, labels, expected = HAND_WORKED[case]
    kind = {"single_label": np.int64, "multi_label": np.uint8, "regression": np.float32}[task]
    found = compute_metrics(task, np.array(logits, np.float32), np.array(labels, kind))
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_metrics_of_one_class_are_quiet() -> None:
    """A class that is never predicted or never right counts as zero, without a warning."""
    logits = np.array([[1, 0], [2, 0]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compute_metrics("single_label", logits, np.array([1, 1]))
    assert found == pytest.approx(
        {"accuracy": 0, "macro_f1": 0, "weighted_f1": 0, "macro_precision": 0, "macro_recall": 0, "loss": 1.7200948}
    )
    assert compute_metrics("single_label", logits, np.array([0, 0]))["macro_f1"] == 1


UNDEFINED: dict[str, tuple[Task, Any, Any, set[str]]] = {
    "one class only": ("single_label", [[1, 0], [0, 1]], [1, 1], {"roc_auc", "matthews"}),
    "no class at all": ("multi_label", [[1, 0], [0, 1]], [[0, 0], [0, 0]], {"roc_auc", "mean_average_precision"}),
    "every class everywhere": ("multi_label", [[1, 0], [0, 1]], [[1, 1], [1, 1]], {"roc_auc"}),
    "equal labels": ("regression", [[1], [2]], [3, 3], {"pearson", "spearman"}),
    "equal answers": ("regression", [[1], [1]], [3, 4], {"pearson", "spearman"}),
    "one example": ("regression", [[1]], [3], {"pearson", "spearman"}),
}


@pytest.mark.parametrize("case", UNDEFINED)
def test_metrics_that_are_not_defined_are_left_out(case: str) -> None:
    """A figure that cannot be told from these examples is not there, all others are, and no warning is given."""
    task, logits, labels, absent = UNDEFINED[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compute_metrics(task, np.array(logits, np.float32), np.array(labels))
    assert found.keys() == METRICS[task].keys() - absent
    assert all(map(math.isfinite, found.values()))


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("task", "labels"),
    [("single_label", [0, 1, 1]), ("multi_label", [[0, 1], [1, 0], [1, 1]]), ("regression", [0.5, 1.5, 3.0])],
)
def test_loss_that_is_not_finite_stays(task: Task, labels: Any, odd: float) -> None:
    """A training that went astray must be seen in its loss; what cannot be told then is left out without a word."""
    logits = np.array([[odd, 1.0], [odd, 0.0], [1.0, 2.0]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compute_metrics(task, logits[:, :1] if task == "regression" else logits, np.array(labels))
    assert "loss" in found
    assert not math.isfinite(found["loss"])
    assert all(map(math.isfinite, (value for name, value in found.items() if name != "loss")))
    assert not found.keys() & {"roc_auc", "mean_average_precision", "pearson", "spearman", "mae", "rmse"}


def test_area_is_averaged_over_the_classes_that_can_be_told() -> None:
    """A class that no example has, or every one, says nothing about an order and is passed over."""
    logits = RANDOM.normal(size=(40, 3)).astype(np.float32)
    labels = np.column_stack([RANDOM.integers(2, size=40), np.zeros(40), np.ones(40)]).astype(np.uint8)
    found = compute_metrics("multi_label", logits, labels)
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(labels[:, 0], logits[:, 0]))
    areas = [sk.average_precision_score(labels[:, place], logits[:, place]) for place in (0, 2)]
    assert found["mean_average_precision"] == pytest.approx(np.mean(areas))


@pytest.mark.parametrize(
    ("task", "logits", "labels"),
    [
        ("single_label", [[1e4, -1e4], [3e38, 0]], [0, 0]),
        ("multi_label", [[1e4, -1e4], [3e38, -3e38]], [[1, 0], [1, 0]]),
    ],
)
def test_large_logits_stay_finite(task: Task, logits: Any, labels: Any) -> None:
    """The loss does not overflow."""
    assert compute_metrics(task, np.array(logits, np.float32), np.array(labels))["loss"] == 0


def test_cross_entropy_is_in_nats() -> None:
    """Even odds between two classes cost the natural logarithm of two."""
    labels = np.array([0, 1])
    assert cross_entropy(Outcome(labels, labels, np.zeros((2, 2)))) == pytest.approx(math.log(2))


def test_each_task_has_a_metric_that_decides() -> None:
    """The default one is among the task's own, and every task has a loss."""
    assert DEFAULT_METRIC.keys() == METRICS.keys()
    assert all(DEFAULT_METRIC[task] in METRICS[task] and "loss" in METRICS[task] for task in METRICS)


@pytest.mark.parametrize(
    ("metric", "candidate", "best", "better"),
    [
        ("accuracy", 0.9, 0.8, True),
        ("accuracy", 0.8, 0.8, False),
        ("accuracy", 0.7, 0.8, False),
        ("loss", 0.7, 0.8, True),
        ("loss", 0.8, 0.8, False),
        ("loss", 0.9, 0.8, False),
        ("loss", math.nan, 0.8, False),
        ("loss", 0.8, math.nan, True),
        ("loss", math.inf, math.nan, False),
        ("loss", 0.8, math.inf, True),
        ("mae", 0.7, 0.8, True),
        ("rmse", 0.9, 0.8, False),
        ("pearson", 0.9, 0.8, True),
        ("mean_average_precision", 0.9, 0.8, True),
    ],
)
def test_is_better(metric: str, candidate: float, best: float, better: bool) -> None:
    """Lower is better for losses and errors, a tie keeps the earlier one, and a number beats none."""
    assert is_better(metric, candidate, best) == better


def test_lower_is_better_for_what_is_worse_when_far_off() -> None:
    """Whatever grows with the distance from the truth is in the set, and nothing else."""
    for task, labels in (
        ("single_label", RANDOM.integers(3, size=50)),
        ("multi_label", RANDOM.integers(2, size=(50, 3))),
        ("regression", RANDOM.normal(size=50)),
    ):
        truth = labels if task == "multi_label" else np.eye(3)[labels] if task == "single_label" else labels[:, None]
        right, wrong = (
            compute_metrics(task, (sign * 2 * (truth - truth.mean())).astype(np.float32), labels) for sign in (1, -1)
        )
        for name in METRICS[task]:
            assert (right[name] < wrong[name]) == (name in LOWER_IS_BETTER), name


def _f1(probabilities: NDArray[np.float64], truth: NDArray[np.uint8], threshold: float) -> float:
    return float(sk.f1_score(truth, probabilities >= threshold, zero_division=0))


@pytest.mark.parametrize("digits", [1, 8])
@pytest.mark.parametrize("seed", range(5))
def test_thresholds_give_the_highest_f1(seed: int, digits: int) -> None:
    """No other threshold scores better on these examples, ties among the probabilities or not."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(60, 2)).round(digits).astype(np.float32)
    labels = (random.random((60, 2)) < 0.3).astype(np.uint8)
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    for place, threshold in enumerate(best_thresholds(logits, labels)):
        mine = probabilities[:, place]
        found = _f1(mine, labels[:, place], threshold)
        assert found == pytest.approx(max(_f1(mine, labels[:, place], other) for other in np.unique(mine)))
        assert threshold not in mine


def test_threshold_lies_halfway() -> None:
    """It is as far from the last score that is taken as from the first that is not."""
    wanted, unwanted = 0.8, 0.4
    odds = [math.log(share / (1 - share)) for share in [0.95] * 4 + [wanted, unwanted, 0.1]]
    labels = np.array([1] * 5 + [0] * 2, np.uint8)[:, None]
    assert best_thresholds(_column(*odds), labels) == pytest.approx([(wanted + unwanted) / 2])


def test_equal_scores_are_never_parted() -> None:
    """Among equal scores the order of the rows would decide, so all of them are said or none."""
    truth = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], np.uint8)
    for logits in (_column(*[2.0] * 10), _column(*[2.0] * 5, *[2.0] * 5)[::-1]):
        [threshold] = best_thresholds(logits, truth[:, None])
        assert 0 < threshold < 1 / (1 + math.exp(-2))


def test_threshold_between_neighbouring_numbers_is_the_upper_one() -> None:
    """Where nothing lies between the two scores, the lower one is still not taken."""
    labels = np.array([1] * 5 + [0], np.uint8)[:, None]
    logits = _column(*[1.0] * 5, np.nextafter(np.float32(1), np.float32(0)))
    [threshold] = best_thresholds(logits, labels)
    assert compute_metrics("multi_label", logits, labels, [threshold])["micro_f1"] == 1


def test_one_class_said_throughout_is_chance() -> None:
    """A model that always says the same class has no correlation with the truth, and no figure is missing."""
    logits = np.array([[1, 0], [2, 0]], np.float32)
    assert compute_metrics("single_label", logits, np.array([0, 1]))["matthews"] == 0


@pytest.mark.parametrize(("positives", "searched"), [(0, False), (FEWEST_POSITIVES - 1, False), (5, True)])
def test_class_with_few_examples_keeps_the_default(positives: int, searched: bool) -> None:
    """A threshold from a handful of examples would be chance."""
    labels = np.array([1] * positives + [0] * 10, np.uint8)[:, None]
    logits = _column(*[-1.0] * positives, *[-3.0] * 10)
    assert (best_thresholds(logits, labels) != [DEFAULT_THRESHOLD]) == searched


def test_thresholds_that_were_found_are_used() -> None:
    """With them the F1 is not below that of the default."""
    logits = RANDOM.normal(-2, 1, size=(100, 2)).astype(np.float32)
    labels = (logits + RANDOM.normal(size=(100, 2)) > -2).astype(np.uint8)
    default = compute_metrics("multi_label", logits, labels)["macro_f1"]
    assert compute_metrics("multi_label", logits, labels, best_thresholds(logits, labels))["macro_f1"] > default


@pytest.mark.parametrize(
    ("task", "metric", "labels", "defined"),
    [
        ("single_label", "roc_auc", [0, 1, 1], True),
        ("single_label", "roc_auc", [1, 1], False),
        ("single_label", "accuracy", [0, 0], True),
        ("multi_label", "roc_auc", [[0, 1], [0, 0]], True),
        ("multi_label", "roc_auc", [[0, 1], [0, 1]], False),
        ("regression", "pearson", [1.0, 1.0], False),
        ("regression", "rmse", [1.0, 1.0], True),
    ],
)
def test_whether_a_metric_can_be_told_is_known_beforehand(
    task: Task, metric: str, labels: list[Any], defined: bool
) -> None:
    """It depends on the labels alone, not on the model."""
    kinds = {"single_label": np.int64, "multi_label": np.uint8, "regression": np.float32}
    assert is_defined(task, metric, np.array(labels, kinds[task])) == defined
