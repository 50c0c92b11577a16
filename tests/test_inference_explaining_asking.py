"""What a classifier explains of its answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forgeml.errors import ForgeError
from forgeml.inference.classifier import Classifier
from forgeml.inference.explaining.asking import log_odds


@pytest.fixture(scope="module")
def classifier(trained: Path) -> Classifier:
    """The classifier of the shared training, which learnt words of praise and blame."""
    return Classifier.from_pretrained(trained / "best_model", "cpu")


def test_words_of_praise_speak_for_the_class(classifier: Classifier) -> None:
    """The predicted class is explained, and the word that was learnt for it weighs most."""
    found = classifier.explain("The film was wonderful and we watched it")
    assert found.label == "pos"
    assert max(found.words, key=lambda word: word.weight).text == "wonderful"


def test_given_label_turns_the_weights_round(classifier: Classifier) -> None:
    """Of two classes, what speaks for one speaks against the other."""
    found = classifier.explain("The film was wonderful", label="neg")
    assert found.label == "neg"
    assert found.score == pytest.approx(-classifier.explain("The film was wonderful").score, abs=1e-4)
    assert min(found.words, key=lambda word: word.weight).text == "wonderful"


def test_score_is_the_log_odds_of_the_answer(classifier: Classifier) -> None:
    """The explained number belongs to the probability that is predicted."""
    [answer] = classifier.predict(["A good film"])
    assert 1 / (1 + np.exp(-classifier.explain("A good film").score)) == pytest.approx(answer.score, abs=1e-5)


def test_the_same_each_time(classifier: Classifier) -> None:
    """Two explanations of a text are equal."""
    assert classifier.explain("a good but dull film") == classifier.explain("a good but dull film")


def test_words_beyond_the_limit_are_said_to_be_not_read(classifier: Classifier) -> None:
    """Their weight is 0, and praise that is not read does not come in where other words are left out."""
    found = classifier.explain("the " * 80 + "wonderful")
    assert not found.words[-1].read
    assert found.words[-1].weight == 0
    assert sum(word.read for word in found.words) == 62


@pytest.mark.parametrize("text", ["", " ", "👩‍👩‍👧‍👦", "很好的电影", "e" + "\u0301" * 50])
def test_odd_texts_are_explained(classifier: Classifier, text: str) -> None:
    """Any text has finite weights whose places lie in it."""
    for word in classifier.explain(text).words:
        assert np.isfinite(word.weight)
        assert text[word.start : word.end] == word.text


def test_what_cannot_be_explained_is_refused(classifier: Classifier) -> None:
    """No such label, half a character, and a pair for a model of single texts."""
    with pytest.raises(ValueError, match="no label 'Pos'; did you mean 'pos'"):
        classifier.explain("good", label="Pos")
    with pytest.raises(ValueError, match="no label 'xyz'; there are 'neg', 'pos'"):
        classifier.explain("good", label="xyz")
    with pytest.raises(TypeError, match="half a character"):
        classifier.explain("\ud800")
    with pytest.raises(ValueError, match="single texts"):
        classifier.explain("good", "bad")


def test_refusals_are_the_callers_mistakes(classifier: Classifier) -> None:
    """They are no errors of the data or the model."""
    with pytest.raises(ValueError, match="no label") as caught:
        classifier.explain("good", label="none")
    assert not isinstance(caught.value, ForgeError)


def test_log_odds_of_several_classes() -> None:
    """They are those of the softmax, and stay finite where its probabilities do not differ from 0 or 1."""
    logits = np.array([[1.0, 2.0, 0.5], [900.0, 0.0, -900.0]])
    odds = np.exp(1.0) / (np.exp(2.0) + np.exp(0.5))
    assert log_odds(logits, 0)[0] == pytest.approx(np.log(odds))
    assert np.isfinite(log_odds(logits, 2)).all()
