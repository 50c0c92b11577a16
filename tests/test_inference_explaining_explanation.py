"""Explanations of scores that are made up, and of a small classifier."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from forgeml.inference.classifier import Classifier
from forgeml.inference.explaining.explanation import Explanation, Score, explain
from forgeml.inference.explaining.words import Words
from forgeml.records import ListedTexts

LEXICON = {"good": 1.0, "great": 2.0, "bad": -1.5, "dull": -0.5}


class Lexicon:
    """A score that adds up what known words are worth, in both texts of a pair."""

    def __init__(self) -> None:
        """Nothing asked yet."""
        self.asked = 0

    def __call__(self, texts: list[str], pairs: list[str] | None) -> NDArray[np.float64]:
        """The scores."""
        self.asked += len(texts)
        seconds = [""] * len(texts) if pairs is None else pairs
        return np.array([self._worth(text) + 10 * self._worth(pair) for text, pair in zip(texts, seconds, strict=True)])

    def _worth(self, text: str) -> float:
        words = Words.of(text)
        return sum(LEXICON.get(words[place].lower(), 0.0) for place in range(len(words)))


def _explained(score: Score, text: str, pair: str | None = None) -> Explanation:
    return explain(score, tuple(Words.of(part) for part in (text, pair) if part is not None), "pos")


def test_words_have_their_places_and_weights() -> None:
    """Each word stands where the places say, and weighs what it is worth."""
    text = "  Good film, not  bad: 👍🏽 dull!"
    found = _explained(Lexicon(), text)
    assert found.score == pytest.approx(-1)
    for word in found.words:
        assert text[word.start : word.end] == word.text
        assert word.weight == pytest.approx(LEXICON.get(word.text.lower(), 0), abs=1e-4)
        assert word.read
        assert not word.in_pair


def test_both_texts_of_a_pair_have_weights() -> None:
    """The places of the second text's words count from its own beginning."""
    found = _explained(Lexicon(), "a good film", "a bad one")
    weights = {word.text: (word.weight, word.start, word.in_pair) for word in found.words}
    assert weights["good"] == (pytest.approx(1, abs=1e-4), 2, False)
    assert weights["bad"] == (pytest.approx(-15, abs=1e-3), 2, True)
    assert [word.in_pair for word in found.words] == [False] * 3 + [True] * 3


@pytest.mark.parametrize(("text", "count"), [("", 0), (" \n", 0), ("good", 1), ("!", 1)])
def test_hardly_any_text(text: str, count: int) -> None:
    """No word has no weights, and one word has what the score loses without it."""
    found = _explained(Lexicon(), text)
    assert len(found.words) == count
    assert [word.weight for word in found.words] == [pytest.approx(LEXICON.get(text, 0.0), abs=1e-4)] * count


def test_empty_pair_beside_a_text() -> None:
    """A second text without words leaves the first one its weights."""
    assert [word.weight for word in _explained(Lexicon(), "a great film", "").words] == [
        pytest.approx(worth, abs=1e-4) for worth in (0, 2, 0)
    ]


def test_as_dict_is_json() -> None:
    """The dictionary holds label, score and the words with their places, and JSON takes it."""
    told = json.loads(json.dumps(_explained(Lexicon(), "so good").as_dict()))
    assert told["label"] == "pos"
    assert told["words"][1].keys() == {"text", "start", "end", "weight", "in_pair", "read"}


@pytest.mark.parametrize("words", [10, 100, 101, 1000])
def test_calls_are_bounded(words: int) -> None:
    """Four for each word, 400 at most, and one for the whole text of each stage."""
    score = Lexicon()
    _explained(score, " ".join(f"w{number}" for number in range(words)))
    assert score.asked <= min(4 * words, 400) + 2


def test_long_texts_show_where_the_words_are() -> None:
    """Of 1,000 words in sentences, the two that count are found among the words, and the sum is kept."""
    words = ["the film was long."] * 250
    words[60], words[200] = "it was great here.", "it was bad there."
    text = " ".join(words)
    began = time.perf_counter()
    found = _explained(Lexicon(), text)
    assert time.perf_counter() - began < 10
    ordered = sorted(found.words, key=lambda word: word.weight)
    assert (ordered[-1].text, ordered[0].text) == ("great", "bad")
    assert sum(word.weight for word in found.words) == pytest.approx(0.5, abs=0.1)


def test_words_that_are_not_read_weigh_nothing() -> None:
    """They are said to be not read, and never come into the texts that are scored."""
    seen: list[str] = []

    def score(texts: list[str], pairs: list[str] | None) -> NDArray[np.float64]:
        seen.extend(texts)
        return Lexicon()(texts, pairs)

    words = Words.of("good film and great end")
    found = explain(score, (words,), read=np.array([True, True, True, False, False]))
    assert [word.read for word in found.words] == [True, True, True, False, False]
    assert [word.weight for word in found.words] == [pytest.approx(worth, abs=1e-4) for worth in (1, 0, 0, 0, 0)]
    assert not any("great" in text for text in seen)


@pytest.mark.slow
def test_deletion(trained: Path, reviews: Path) -> None:
    """Without its top words a score falls much further than without random ones, and as far as by single losses."""
    classifier = Classifier.from_pretrained(trained / "best_model", "cpu")
    with (reviews / "test.csv").open() as file:
        texts = [row["text"] for row in csv.DictReader(file)][:40]
    drops: dict[str, list[float]] = {"explained": [], "alone": [], "random": []}
    for number, text in enumerate(texts):
        words, found = Words.of(text), classifier.explain(text)
        place = classifier.labels.index(found.label)

        def score(masks: NDArray[np.bool_], words: Words = words, place: int = place) -> NDArray[np.float64]:
            logits = classifier.logits(ListedTexts([words.keeping(mask) for mask in masks])).astype(np.float64)
            return logits[:, place] - logits[:, 1 - place]

        alone = found.score - score(~np.eye(len(words), dtype=bool))
        orders = {
            "explained": np.argsort([-word.weight for word in found.words], kind="stable"),
            "alone": np.argsort(-alone, kind="stable"),
            "random": np.random.default_rng(number).permutation(len(words)),
        }
        for way, order in orders.items():
            masks = np.ones((5, len(words)), bool)
            for removed in range(5):
                masks[removed, order[: removed + 1]] = False
            drops[way].append(found.score - float(score(masks).mean()))
    means = {way: float(np.mean(values)) for way, values in drops.items()}
    # As a multiple: how much there is to lose depends on how sure the model is.
    assert means["explained"] > 8 * means["random"] > 0
    assert means["explained"] >= 0.98 * means["alone"]
