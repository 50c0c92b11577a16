"""How well a classifier does on labelled texts."""

from __future__ import annotations

from collections.abc import Callable

from forgeml.events import Evaluation
from forgeml.inference.classifier import Classifier
from forgeml.metrics import compute_metrics
from forgeml.records import Split


def evaluate(
    classifier: Classifier, split: Split, on_progress: Callable[[int], None] = lambda done: None
) -> Evaluation:
    """Metrics of the classifier on a split whose labels are under the classifier's own label map."""
    logits = classifier.logits(split.texts, on_progress)
    metrics = compute_metrics(classifier.task, logits, split.labels, classifier.thresholds.tolist())
    return Evaluation(split.name, len(split), metrics)
