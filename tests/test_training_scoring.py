"""What a model says of encoded texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forgeml.config.schema import Config
from forgeml.inference.classifier import Classifier
from forgeml.inference.report import evaluate
from forgeml.metrics import compute_metrics
from forgeml.model.saved import open_saved
from forgeml.training.materials import gather
from forgeml.training.scoring import score_logits


def test_score_is_what_the_classifier_reports(trained: Path, tiny_settings: dict[str, Any]) -> None:
    """Training and inference have the same logits of the same model, and so the same figures."""
    materials = gather(Config.model_validate(tiny_settings), lambda event: None)
    classifier = Classifier.from_pretrained(trained / "best_model", device="cpu")
    part = materials.splits.validation
    model, _, _ = open_saved(trained / "best_model", "cpu")
    ours = score_logits(model, materials.validation, "cpu", lambda done: None)
    np.testing.assert_allclose(ours, classifier.logits(part.texts), rtol=0, atol=1e-6)
    theirs = evaluate(classifier, part).metrics
    assert compute_metrics("single_label", ours, part.labels) == pytest.approx(dict(theirs), abs=1e-6)
