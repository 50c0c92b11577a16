"""The loss of each task, and class weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from transformers import BertConfig, BertForSequenceClassification

from forgeml.metrics import compute_metrics
from forgeml.model.losses import balanced_weights, loss_of
from forgeml.records import EncodedTexts, Runtime, Task
from forgeml.training.accelerator import build_accelerator
from forgeml.training.loop import Learner, TrainingSet, accumulate_gradients

EXAMPLES, CLASSES = 23, 4
DRAWN = np.random.default_rng(0)
LOGITS = DRAWN.normal(size=(EXAMPLES, CLASSES)).astype(np.float32) * 3
IDS = np.concatenate([np.arange(CLASSES), DRAWN.integers(0, 2, EXAMPLES - CLASSES)])
SEVERAL = (DRAWN.random((EXAMPLES, CLASSES)) < [0.1, 0.3, 0.5, 0.9]).astype(np.uint8)
NUMBERS = DRAWN.normal(size=EXAMPLES).astype(np.float32)
TASKS: dict[Task, tuple[np.ndarray, np.ndarray]] = {
    "single_label": (LOGITS, IDS),
    "multi_label": (LOGITS, SEVERAL),
    "regression": (LOGITS[:, :1], NUMBERS),
}


def loss_sum(task: Task, weights: np.ndarray | None = None, smoothing: float = 0.0) -> float:
    """The summed loss of the examples."""
    logits, labels = TASKS[task]
    return float(loss_of(task, weights, "cpu", smoothing)(torch.from_numpy(logits), torch.from_numpy(labels)))


@pytest.mark.parametrize("task", TASKS)
def test_loss_is_the_metric_of_that_name(task: Task) -> None:
    """What is learnt is what is scored: the mean of the summed loss is the metric `loss`."""
    assert loss_sum(task) / EXAMPLES == pytest.approx(compute_metrics(task, *TASKS[task])["loss"], rel=1e-5)


def test_single_label_by_hand() -> None:
    """Each text costs the logarithm of its class's probability, times the weight of the class."""
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    costs = -np.log(probabilities[np.arange(EXAMPLES), IDS])
    weights = np.array([1, 2, 3, 0.5], np.float32)
    assert loss_sum("single_label") == pytest.approx(costs.sum(), rel=1e-5)
    assert loss_sum("single_label", weights) == pytest.approx((costs * weights[IDS]).sum(), rel=1e-5)


def test_multi_label_by_hand() -> None:
    """Each class of a text costs the logarithm of what is right of it, averaged over the classes."""
    present = 1 / (1 + np.exp(-LOGITS))
    costs = -np.log(np.where(SEVERAL == 1, present, 1 - present))
    weights = np.stack([np.arange(1, 5), np.arange(5, 9)]).astype(np.float32)
    each = np.where(SEVERAL == 1, weights[1], weights[0])
    assert loss_sum("multi_label") == pytest.approx(costs.mean(axis=1).sum(), rel=1e-5)
    assert loss_sum("multi_label", weights) == pytest.approx((costs * each).mean(axis=1).sum(), rel=1e-5)


@pytest.mark.parametrize("weights", [None, np.array([1, 2, 3, 0.5], np.float32)])
def test_smoothed_single_label_by_hand(weights: np.ndarray | None) -> None:
    """A share of each text's label is spread over all classes, each of which costs as much as it weighs."""
    costs = -np.log(np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True))
    costs *= 1 if weights is None else weights
    wanted = 0.9 * costs[np.arange(EXAMPLES), IDS].sum() + 0.1 * costs.mean(axis=1).sum()
    assert loss_sum("single_label", weights, 0.1) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_smoothed_multi_label_by_hand(weighted: bool) -> None:
    """Presence is 0.95 and absence 0.05; a class weighs what it weighs by the label as it is."""
    present = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    truth = np.where(SEVERAL == 1, 0.95, 0.05)
    costs = -(truth * np.log(present) + (1 - truth) * np.log(1 - present))
    weights = np.stack([np.arange(1, 5), np.arange(5, 9)]).astype(np.float32) if weighted else None
    each = 1 if weights is None else np.where(SEVERAL == 1, weights[1], weights[0])
    assert loss_sum("multi_label", weights, 0.1) == pytest.approx((costs * each).mean(axis=1).sum(), rel=1e-5)


def test_regression_by_hand() -> None:
    """Each text costs its squared distance."""
    assert loss_sum("regression") == pytest.approx(((LOGITS[:, 0] - NUMBERS) ** 2).sum(), rel=1e-5)


def test_single_label_weights_are_balanced() -> None:
    """Every class adds up to the same weight, the mean over the examples is 1, and scikit-learn has the same."""
    weights = balanced_weights("single_label", IDS, CLASSES)
    assert weights is not None
    np.testing.assert_allclose(np.bincount(IDS, weights=weights[IDS]), EXAMPLES / CLASSES, rtol=1e-6)
    assert weights[IDS].mean() == pytest.approx(1)
    np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.arange(CLASSES), y=IDS), rtol=1e-6)


def test_class_without_examples_weighs_nothing() -> None:
    """A class that is only in other parts neither divides by zero nor takes weight from the others."""
    weights = balanced_weights("single_label", np.array([0, 0, 0, 2]), CLASSES)
    assert weights is not None
    np.testing.assert_allclose(weights, [4 / 6, 0, 2, 0], rtol=1e-6)


def test_multi_label_weights_are_balanced_for_each_class() -> None:
    """Of each class presence and absence add up to the same weight, and the mean over the examples is 1."""
    weights = balanced_weights("multi_label", SEVERAL, CLASSES)
    assert weights is not None
    assert weights.shape == (2, CLASSES)
    each = np.where(SEVERAL == 1, weights[1], weights[0])
    np.testing.assert_allclose((each * SEVERAL).sum(axis=0), EXAMPLES / 2, rtol=1e-6)
    np.testing.assert_allclose(each.mean(axis=0), 1, rtol=1e-6)


def test_class_that_is_always_or_never_there_weighs_one() -> None:
    """Where there is nothing to balance, nothing is changed."""
    weights = balanced_weights("multi_label", np.array([[1, 0], [1, 0]], np.uint8), 2)
    assert weights is not None
    np.testing.assert_array_equal(weights, [[0, 1], [1, 0]])


def test_regression_has_no_weights() -> None:
    """Numbers have no classes."""
    assert balanced_weights("regression", NUMBERS, 1) is None


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("size", [1, 5, 6])
def test_accumulation_equals_the_large_batch(task: Task, size: int) -> None:
    """With class weights too, batches added up for one step give the loss and the gradients of one large batch."""
    logits, labels = TASKS[task]
    weights = balanced_weights(task, labels, CLASSES)
    encoded = EncodedTexts(
        np.arange(2 * EXAMPLES, dtype=np.int32) % 20, np.arange(0, 2 * EXAMPLES + 1, 2), 0, np.zeros(EXAMPLES, bool)
    )
    training_set = TrainingSet(encoded, labels, np.arange(EXAMPLES))
    found = []
    for step in (EXAMPLES, size):
        torch.manual_seed(0)
        model = BertForSequenceClassification(
            BertConfig(
                vocab_size=20,
                hidden_size=8,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=8,
                num_labels=logits.shape[1],
                hidden_dropout_prob=0,
                attention_probs_dropout_prob=0,
            )
        )
        optimizer = torch.optim.SGD(model.parameters())
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
        accelerator = build_accelerator(Runtime("cpu", "fp32", 1))
        learner = Learner(accelerator, model, optimizer, schedule, loss_of(task, weights, "cpu"))
        batches = [np.arange(EXAMPLES)[start : start + step] for start in range(0, EXAMPLES, step)]
        loss = sum(accumulate_gradients(learner, training_set, batches, EXAMPLES)).item()
        found.append((loss, {name: weight.grad for name, weight in model.named_parameters()}))
    (whole, gradients), (added, pieces) = found
    assert added == pytest.approx(whole, rel=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(pieces[name], gradient, rtol=0, atol=1e-6, msg=name)
