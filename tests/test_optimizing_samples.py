"""Texts to optimize a model by."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgeml.errors import DataError, ModelError
from forgeml.inference.classifier import Classifier
from forgeml.inference.labelled import how_to_read
from forgeml.optimizing.samples import from_data, from_training, refuse_foreign


def test_samples_of_the_training_are_held_out(saved: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test is measured with, train sets the numbers; data that have changed since are refused, with the way out."""
    classifier = Classifier.from_pretrained(saved, "cpu")
    samples = from_training(classifier, 10, lambda event: None)
    assert (samples.measured.name, len(samples.measured), len(samples.calibration)) == ("test", 10, 216)
    assert from_training(classifier, 10, lambda event: None).measured.rows.tolist() == samples.measured.rows.tolist()
    changed = {**classifier.manifest, "data": {**classifier.manifest["data"], "fingerprint": "0"}}
    monkeypatch.setattr(classifier, "manifest", changed)
    with pytest.raises(DataError, match="has changed since the model was trained") as caught:
        from_training(classifier, 10, lambda event: None)
    assert "forgeml optimize MODEL DATA" in caught.value.problems[0].fix


def test_samples_of_other_data_do_not_overlap(saved: Path, reviews: Path) -> None:
    """A fifth sets the numbers, the rest is measured with; a single text is refused."""
    classifier = Classifier.from_pretrained(saved, "cpu")
    config = how_to_read(classifier, {"dataset": str(reviews / "test.csv")})
    samples = from_data(classifier, config, None, 1000, lambda event: None)
    measured, aside = set(samples.measured.rows.tolist()), set(samples.calibration.rows.tolist())
    assert (len(measured), len(aside), measured & aside) == (64, 16, set())
    Path("one.csv").write_text("text,label\ngood,pos\n")
    with pytest.raises(DataError, match="some are needed to set numbers by"):
        from_data(classifier, how_to_read(classifier, {"dataset": "one.csv"}), None, 9, print)


def test_foreign_folder_is_refused(saved: Path) -> None:
    """What something else has saved does not say what it was trained for."""
    (saved / "forgeml.json").unlink()
    with pytest.raises(ModelError, match="was not saved by forgeml train"):
        refuse_foreign(Classifier.from_pretrained(saved, "cpu"), "saved")
