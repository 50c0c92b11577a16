"""How well a classifier does on labelled texts."""

from __future__ import annotations

from collections.abc import Callable

from forgeml.inference.classifier import Classifier
from forgeml.metrics import classification_metrics
from forgeml.records import Evaluation, Split


def evaluate(
    classifier: Classifier, split: Split, on_progress: Callable[[int], None] = lambda done: None
) -> Evaluation:
    """Metrics of the classifier on a split whose labels are under the classifier's own label map."""
    logits = classifier.logits(split.texts, on_progress)
    return Evaluation(split.name, len(split), classification_metrics(logits, split.labels))
