"""A saved classifier in use, from Python."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from forgeml.errors import MachineError, ModelError
from forgeml.inference import classifier as module
from forgeml.inference.classifier import Classifier
from forgeml.records import ColumnTexts, Cut
from tiny import listed

TEXTS = ["A lovely film.", "Boring and bad.", "A good " * 30 + "end", "The river.", "wonderful", "awful " * 90]
ODD_TEXTS = {
    "empty": "",
    "spaces": " \t\n ",
    "one word of a million letters": "x" * 1_000_000,
    "a hundred thousand words": "good " * 100_000,
    "emoji, joined": "👩‍👩‍👧‍👦 ✨",
    "right to left": "فيلم جميل",
    "Chinese": "很好的电影",
    "combining marks": "e" + "\u0301" * 500,
    "zero-width": "\u200b" * 500,
    "control characters": "a\x00b\x07c",
    "special tokens as text": "[CLS] [SEP] [PAD] [MASK]",
}


@pytest.fixture(scope="module")
def classifier(trained: Path) -> Classifier:
    """The classifier of the shared training."""
    return Classifier.from_pretrained(trained / "best_model", "cpu")


def test_prediction_has_label_score_and_scores(classifier: Classifier) -> None:
    """The label is the class of the highest score, and the scores stand in the order of the labels and sum to 1."""
    assert classifier.labels == ("neg", "pos")
    for answer in classifier.predict(TEXTS):
        assert tuple(answer.scores) == classifier.labels
        assert sum(answer.scores.values()) == pytest.approx(1, abs=1e-9)
        assert answer.score == answer.scores[answer.label] == max(answer.scores.values())
        assert isinstance(answer.score, float)


def test_what_was_learnt_is_known(classifier: Classifier) -> None:
    """Words of praise are positive, the others negative."""
    assert [answer.label for answer in classifier.predict(TEXTS[:2])] == ["pos", "neg"]


def test_no_texts_give_no_predictions(classifier: Classifier) -> None:
    """An empty list is answered with an empty list."""
    assert classifier.predict([]) == []
    assert classifier.logits(listed([])).shape == (0, 2)


@pytest.mark.parametrize("kind", ODD_TEXTS)
def test_odd_text_is_answered(classifier: Classifier, kind: str) -> None:
    """Any text gets finite scores, and its neighbours the same ones as without it."""
    alone = classifier.logits(listed(TEXTS[:2]))
    together = classifier.logits(listed([TEXTS[0], ODD_TEXTS[kind], TEXTS[1]]))
    assert np.isfinite(together).all()
    np.testing.assert_allclose(together[[0, 2]], alone, rtol=0, atol=1e-5)


def test_batch_mates_make_no_difference(classifier: Classifier) -> None:
    """A text gets the same scores alone, in a small batch and in a large one."""
    alone = np.concatenate([classifier.logits(listed([text])) for text in TEXTS])
    np.testing.assert_allclose(classifier.logits(listed(TEXTS)), alone, rtol=0, atol=1e-5)
    np.testing.assert_allclose(classifier.logits(listed(TEXTS * 20))[: len(TEXTS)], alone, rtol=0, atol=1e-5)


def test_text_is_cut_where_training_cut(classifier: Classifier) -> None:
    """What lies beyond the longest text does not count."""
    assert classifier.cut == Cut(64)
    long = "good " * 62
    cut, whole = (classifier.logits(listed([text])) for text in (long, long + "bad " * 99))
    np.testing.assert_allclose(cut, whole, rtol=0, atol=1e-6)


def test_single_string_is_refused(classifier: Classifier) -> None:
    """One string instead of a list would be taken letter by letter."""
    with pytest.raises(TypeError, match=r"predict\(\[text\]\)"):
        classifier.predict("A lovely film.")


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "text 1 is a NoneType"), (3.5, "text 1 is a float"), (["a"], "is a list"), (b"a", "is a bytes")],
)
def test_what_is_no_text_is_refused_by_its_place(classifier: Classifier, text: object, message: str) -> None:
    """The error says which one of the texts is none."""
    with pytest.raises(TypeError, match=message):
        classifier.predict(["good", text])  # type: ignore[list-item]


def test_half_a_character_is_refused_by_its_place(classifier: Classifier) -> None:
    """A lone surrogate, as broken JSON escapes make them, is no text."""
    with pytest.raises(TypeError, match="text 0 has half a character at 4"):
        classifier.predict(["good\ud83d"])


def test_other_sequences_are_taken(classifier: Classifier) -> None:
    """Tuples and arrays of strings give the same as a list, and so do Arrow columns that come in chunks."""
    expected = classifier.predict(TEXTS)
    for texts in (tuple(TEXTS), np.array(TEXTS)):
        assert classifier.predict(texts) == expected
    column = ColumnTexts((pa.chunked_array([TEXTS[:2], TEXTS[2:]]),), None, np.arange(len(TEXTS)))
    assert np.array_equal(classifier.logits(column), classifier.logits(listed(TEXTS)))


def test_threads_may_share_a_classifier(trained: Path) -> None:
    """Eight threads that start at once with a fresh classifier get the numbers that one alone gets."""
    expected = Classifier.from_pretrained(trained / "best_model", "cpu").logits(listed(TEXTS))
    classifier = Classifier.from_pretrained(trained / "best_model", "cpu")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda turn: classifier.logits(listed(TEXTS)), range(64)))
    for answer in answers:
        np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-6)


def test_saving_while_predicting(trained: Path, tmp_path: Path) -> None:
    """A copy can be written while other threads predict."""
    classifier = Classifier.from_pretrained(trained / "best_model", "cpu")
    expected = classifier.logits(listed(TEXTS))
    with ThreadPoolExecutor(3) as pool:
        work = [pool.submit(classifier.logits, listed(TEXTS)) for _ in range(40)]
        classifier.save_pretrained(tmp_path / "copy")
        for answer in work:
            np.testing.assert_allclose(answer.result(), expected, rtol=0, atol=1e-6)


def test_copy_answers_the_same(classifier: Classifier, tmp_path: Path) -> None:
    """A saved copy is whole: same files, same manifest, same numbers."""
    classifier.save_pretrained(tmp_path / "copy")
    copy = Classifier.from_pretrained(tmp_path / "copy", "cpu")
    assert np.array_equal(copy.logits(listed(TEXTS)), classifier.logits(listed(TEXTS)))
    assert {**copy.manifest, "files": 0} == {**classifier.manifest, "files": 0}
    assert os.listdir(tmp_path) == ["copy"]


def test_copy_onto_itself_and_over_another(saved: Path, tmp_path: Path) -> None:
    """A classifier may be saved where it came from, and over another saved model, and still answers."""
    classifier = Classifier.from_pretrained(saved, "cpu")
    expected = classifier.logits(listed(TEXTS))
    shutil.copytree(saved, tmp_path / "other")
    (tmp_path / "other" / "old.txt").write_text("old")
    for place in (saved, tmp_path / "other"):
        classifier.save_pretrained(place)
        assert np.array_equal(Classifier.from_pretrained(place, "cpu").logits(listed(TEXTS)), expected)
        assert "old.txt" not in os.listdir(place)
    assert np.array_equal(classifier.logits(listed(TEXTS)), expected)
    assert sorted(os.listdir(tmp_path)) == ["other", "saved"]


def test_copy_over_something_else_is_refused(classifier: Classifier, tmp_path: Path) -> None:
    """A folder with other things in it is not replaced."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(MachineError, match="is not a saved model"):
        classifier.save_pretrained(tmp_path)
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_copy_by_a_relative_path(classifier: Classifier) -> None:
    """A name alone means the working folder."""
    classifier.save_pretrained("copy/")
    assert (Path("copy") / "forgeml.json").is_file()


@pytest.mark.parametrize(("name", "message"), [("absent", "no such folder"), ("file", "a file")])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str, message: str) -> None:
    """A path that leads nowhere or to a file is said to."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match=message):
        Classifier.from_pretrained(tmp_path / name)


def test_user_who_is_not_there_is_a_name(classifier: Classifier) -> None:
    """`~nobody` of an unknown user is a folder that is not there, and may be written as one."""
    with pytest.raises(ModelError, match="no such folder"):
        Classifier.from_pretrained("~no-such-user/model")
    classifier.save_pretrained("~no-such-user/model")
    assert (Path("~no-such-user") / "model" / "forgeml.json").is_file()


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.")])
def test_memory_that_runs_out_is_told(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The error has the device, the size of a batch and the length of texts, and says what to do."""

    def refuse(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(module, "collect", refuse)
    words = "not enough memory on cpu for a batch of 6 texts of up to 64 tokens"
    with pytest.raises(MachineError, match=words) as caught:
        classifier.predict(TEXTS)
    assert "fewer than 6 texts" in caught.value.problems[0].fix
    with pytest.raises(MachineError, match="a batch of 32 texts"):
        classifier.predict(TEXTS * 9)


def test_device_that_is_not_there_is_refused(trained: Path) -> None:
    """The device is looked for before the model is opened."""
    with pytest.raises(MachineError, match="cuda:7"):
        Classifier.from_pretrained(trained / "best_model", "cuda:7")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"problem_type": "regression"}, "a regression with 2 numbers; ForgeML tells one"),
        ({"id2label": {"0": "same", "1": "same"}}, "two classes have the same name"),
    ],
)
def test_outputs_that_would_mislead_are_refused(saved: Path, settings: dict[str, object], message: str) -> None:
    """Several numbers at once, and classes that nobody can tell apart, are refused."""
    (saved / "forgeml.json").unlink()
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | settings))
    with pytest.raises(ModelError, match=message):
        Classifier.from_pretrained(saved)


def with_outputs(folder: Path, names: list[str], problem_type: str | None) -> Classifier:
    """The saved folder with a head for these outputs, as another program would have written it."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=len(names), id2label=dict(enumerate(names)), ignore_mismatched_sizes=True
    )
    torch.nn.init.normal_(model.classifier.weight)
    model.config.problem_type = problem_type
    model.save_pretrained(folder)
    (folder / "forgeml.json").unlink()
    return Classifier.from_pretrained(folder, "cpu")


def test_single_class_is_refused(saved: Path) -> None:
    """One class leaves nothing to choose from; the library says so first, if it reads the configuration."""
    with pytest.raises(ModelError, match=r"num_labels > 1|a single class, which leaves nothing to choose from"):
        with_outputs(saved, ["only"], "single_label_classification")


def test_several_labels_are_those_that_reach_their_threshold(saved: Path) -> None:
    """Each class has a probability of its own; those from their threshold on are said, the most probable first."""
    classifier = with_outputs(saved, ["a", "b", "c"], "multi_label_classification")
    assert (classifier.task, classifier.thresholds.tolist()) == ("multi_label", [0.5, 0.5, 0.5])
    logits = classifier.logits(listed(TEXTS))
    for row, answer in zip(1 / (1 + np.exp(-logits.astype(float))), classifier.predict(TEXTS), strict=True):
        assert list(answer.scores.values()) == pytest.approx(row.tolist())
        wanted = [name for name in ("a", "b", "c") if answer.scores[name] >= 0.5]
        assert answer.labels == tuple(sorted(wanted, key=lambda name: -answer.scores[name]))
        assert (answer.label, answer.score, answer.value) == (None, None, None)
    classifier.thresholds[:] = [1.1, 0.0, 1.1]
    assert {answer.labels for answer in classifier.predict(TEXTS)} == {("b",)}
    classifier.thresholds[:] = 1.1
    assert {answer.labels for answer in classifier.predict(TEXTS)} == {()}


@pytest.mark.parametrize("problem_type", ["regression", None])
def test_one_output_is_a_number(saved: Path, problem_type: str | None) -> None:
    """A model with a single output tells numbers, as they come out of it."""
    classifier = with_outputs(saved, ["stars"], problem_type)
    assert classifier.task == "regression"
    answers = classifier.predict(TEXTS)
    assert [answer.value for answer in answers] == classifier.logits(listed(TEXTS))[:, 0].astype(float).tolist()
    assert [answer.as_dict() for answer in answers] == [{"value": answer.value} for answer in answers]


def test_pairs_are_read_together(saved: Path) -> None:
    """The second text counts, there is one for each first text, and a model of single texts refuses pairs."""
    with pytest.raises(ValueError, match="trained on single texts"):
        Classifier.from_pretrained(saved, "cpu").predict(TEXTS[:1], ["awful"])
    # Without its manifest the folder does not tell what it was trained on.
    (saved / "forgeml.json").unlink()
    classifier = Classifier.from_pretrained(saved, "cpu")
    alone, paired = classifier.predict(TEXTS[:2]), classifier.predict(TEXTS[:2], ["awful", "lovely"])
    assert [answer.score for answer in alone] != [answer.score for answer in paired]
    with pytest.raises(ValueError, match="2 texts and 1 second texts"):
        classifier.predict(TEXTS[:2], ["awful"])
    with pytest.raises(TypeError, match="text 1 is a NoneType"):
        classifier.predict(TEXTS[:2], ["awful", None])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="one string"):
        classifier.predict(TEXTS[:1], "awful")


def test_folder_of_plain_transformers_opens(saved: Path) -> None:
    """A classifier without `forgeml.json` answers too, with the length that its tokenizer states."""
    expected = Classifier.from_pretrained(saved, "cpu").logits(listed(TEXTS))
    (saved / "forgeml.json").unlink()
    classifier = Classifier.from_pretrained(str(saved), "cpu")
    assert classifier.manifest == {}
    assert classifier.cut == Cut(64)
    assert np.array_equal(classifier.logits(listed(TEXTS)), expected)


@pytest.mark.slow
def test_prediction_needs_no_training_libraries(trained: Path) -> None:
    """Who only predicts loads neither the data set, nor the tracking, nor the metrics library."""
    script = (
        "import sys, forgeml\n"
        "from forgeml.inference import pyfunc\n"
        "forgeml.Classifier.from_pretrained(sys.argv[1], 'cpu').predict(['good'])\n"
        "heavy = {'datasets', 'mlflow', 'sklearn', 'pandas', 'forgeml.training'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", script, str(trained / "best_model")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_prediction_is_frozen(classifier: Classifier) -> None:
    """An answer is a value that nobody changes."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        classifier.predict(["good"])[0].label = "other"  # type: ignore[misc]
