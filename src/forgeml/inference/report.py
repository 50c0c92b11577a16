"""How well a classifier does on labelled texts."""

from __future__ import annotations

from forgeml.inference.classifier import Classifier
from forgeml.metrics import classification_metrics
from forgeml.records import Evaluation, Split


def evaluate(classifier: Classifier, split: Split) -> Evaluation:
    """Metrics of the classifier on a split whose labels are under the classifier's own label map."""
    logits = classifier.logits(split.texts)
    return Evaluation(split.name, len(split), classification_metrics(logits, split.labels))
