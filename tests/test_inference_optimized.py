"""What engines share that run written files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engines_made import TEXTS, change_record, with_all_engines
from forgeml.data.batches import scoring_batches
from forgeml.data.tokens.encoding import encode
from forgeml.inference.classifier import Classifier
from forgeml.inference.engines import ENGINES
from forgeml.records import Cut, ListedTexts

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

FILES = [name for name in ENGINES if not name.startswith("torch")]


@pytest.mark.parametrize("name", FILES)
def test_long_texts_are_read_as_in_training(trained: Path, tmp_path: Path, name: str) -> None:
    """In windows that are averaged, where the model was trained so."""
    place = with_all_engines(trained / "best_model", tmp_path / "model")
    manifest = json.loads((place / "forgeml.json").read_text())
    manifest["config"]["model"]["long_texts"] = "windows"
    manifest["engine"]["max_length"] = 16
    (place / "forgeml.json").write_text(json.dumps(manifest))
    classifier = Classifier.from_pretrained(place, "cpu", name)
    assert classifier.cut == Cut(16, "windows")
    long = ["good film " * 30, "short", "the awful river " * 20]
    encoded = encode(classifier._engine.tokenizer, ListedTexts(long), classifier.cut)
    assert encoded.bounds is not None
    pieces = [classifier._engine.forward(batch) for batch in scoring_batches(encoded, 1)]
    assert all(one.shape == (1, 2) for one in pieces)
    found = classifier.logits(ListedTexts(long))
    alone = np.concatenate([classifier.logits(ListedTexts([text])) for text in long])
    np.testing.assert_allclose(found, alone, rtol=0, atol=1e-4 if name.endswith("fp32") else 0.1)


def test_labels_and_task_come_from_the_manifest(engines: Path) -> None:
    """Nothing else is asked for them."""
    classifier = Classifier.from_pretrained(engines, "cpu", "onnx-fp32")
    assert (classifier.task, classifier.labels, classifier.device) == ("single_label", ("neg", "pos"), "cpu")
    assert classifier.cut == Cut(64)


def test_answers_stand_in_the_order_of_the_texts(engines: Path) -> None:
    """Whatever their lengths; and one text gives what it gives among others."""
    for name in FILES:
        classifier = Classifier.from_pretrained(engines, "cpu", name)
        together = [answer.score for answer in classifier.predict(TEXTS)]
        alone = [classifier.predict([text])[0].score for text in TEXTS]
        assert together == pytest.approx(alone, abs=1e-5 if name.endswith("fp32") else 0.02)


def test_tokenizer_of_its_own_is_used(trained: Path, tmp_path: Path) -> None:
    """Where the folder has no file from which the tokenizer can be had alone, one is written for the engines."""
    place = with_all_engines(trained / "best_model", tmp_path / "model")
    record = json.loads((place / "forgeml.json").read_text())["engine"]
    (place / "onnx" / "tokenizer.json").write_bytes((place / "tokenizer.json").read_bytes())
    change_record(place, tokenizer={**record["tokenizer"], "file": "onnx/tokenizer.json"})
    (place / "tokenizer.json").unlink()
    assert Classifier.from_pretrained(place, "cpu", "onnx-fp32").predict(["good"])[0].label == "pos"
