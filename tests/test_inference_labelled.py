"""Labelled texts for a classifier that is trained already."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgeml.errors import ConfigError, DataError
from forgeml.events import Event, Note
from forgeml.inference.classifier import Classifier
from forgeml.inference.labelled import how_to_read, read_labelled


@pytest.fixture(scope="module")
def classifier(trained: Path) -> Classifier:
    """The classifier of the shared training."""
    return Classifier.from_pretrained(trained / "best_model", "cpu")


def test_columns_are_those_of_the_training(classifier: Classifier, reviews: Path) -> None:
    """Unless others are given, by name or as settings, which win."""
    data = {"dataset": str(reviews / "test.csv")}
    assert how_to_read(classifier, data).text_column == classifier.manifest["data"]["text_column"]
    assert how_to_read(classifier, {**data, "text_column": "review"}).text_column == "review"
    chosen = how_to_read(classifier, {**data, "text_column": "review"}, [("data.text_column", "body")])
    assert chosen.text_column == "body"


def test_settings_without_a_meaning_are_refused(classifier: Classifier) -> None:
    """A seed has none where nothing is trained."""
    with pytest.raises(ConfigError, match=r"--training\.seed: has no meaning here"):
        how_to_read(classifier, {"dataset": "a.csv"}, [("training.seed", "1")])


def test_labels_are_under_the_map_of_the_classifier(classifier: Classifier, reviews: Path, tmp_path: Path) -> None:
    """The order of the classes is the classifier's, unknown ones are refused, and what is left out is told."""
    told: list[Event] = []
    (tmp_path / "some.csv").write_text("text,label\ngood,pos\nbad,neg\nriver,\n")
    config = how_to_read(classifier, {"dataset": "some.csv"}, [("data.on_bad_rows", "skip")])
    assert read_labelled(classifier, config, None, told.append).labels.tolist() == [1, 0]
    assert any(isinstance(event, Note) and "1 row left out" in event.text for event in told)
    (tmp_path / "some.csv").write_text("text,label\ngood,pos\nbad,neutral\n")
    with pytest.raises(DataError, match="neutral"):
        read_labelled(classifier, how_to_read(classifier, {"dataset": "some.csv"}), None, told.append)


def test_pairs_for_a_model_of_single_texts_are_refused(classifier: Classifier, tmp_path: Path) -> None:
    """Figures on them would mislead."""
    (tmp_path / "some.csv").write_text("text,second,label\ngood,a,pos\nbad,b,neg\n")
    config = how_to_read(classifier, {"dataset": "some.csv", "text_pair_column": "second"})
    with pytest.raises(ConfigError, match="trained on single texts"):
        read_labelled(classifier, config, None, lambda event: None)
