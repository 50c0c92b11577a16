"""How well a classifier does on labelled texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from forgeml.config.schema import DataConfig
from forgeml.data.source import read_source
from forgeml.data.splits import labelled_split
from forgeml.inference.classifier import Classifier
from forgeml.inference.report import evaluate
from forgeml.records import ColumnTexts, Split

TEXTS = ["A lovely film.", "Boring and bad.", "A wonderful evening.", "An awful train."]


@pytest.fixture(scope="module")
def classifier(trained: Path) -> Classifier:
    """The classifier of the shared training."""
    return Classifier.from_pretrained(trained / "best_model", "cpu")


def split(labels: list[int]) -> Split:
    """The texts under these labels, in two chunks as they come from files."""
    texts = ColumnTexts((pa.chunked_array([TEXTS[:1], TEXTS[1:]]),), None, np.arange(len(labels)))
    return Split("test", texts, np.array(labels))


def test_metrics_are_those_of_the_predictions(classifier: Classifier) -> None:
    """Accuracy and loss follow from what `predict` says of the same texts."""
    names = [answer.label for answer in classifier.predict(TEXTS)]
    right = [classifier.labels.index(name) for name in names]
    evaluation = evaluate(classifier, split([*right[:3], 1 - right[3]]))
    assert (evaluation.split, evaluation.examples) == ("test", 4)
    assert evaluation.metrics["accuracy"] == pytest.approx(0.75)
    scores = [answer.scores for answer in classifier.predict(TEXTS)]
    likelihoods = [one[name] for one, name in zip(scores[:3], names, strict=False)] + [1 - scores[3][names[3]]]
    assert evaluation.metrics["loss"] == pytest.approx(-np.mean(np.log(likelihoods)), rel=1e-4)


def test_evaluation_repeats_what_training_saw(classifier: Classifier, reviews: Path) -> None:
    """The test metrics in the manifest come out again from the saved folder and the same file."""
    data = DataConfig(dataset=str(reviews))
    part = labelled_split(read_source(data), "test", data, classifier.labels)
    found = evaluate(classifier, part)
    assert dict(found.metrics) == pytest.approx(classifier.manifest["metrics"]["test"], abs=1e-6)
