"""Which words of a text matter for a score, found by asking for the score of changed texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forgeml.inference.explaining.attribution import Masks, Numbers, attribute
from forgeml.inference.explaining.words import Words

CALLS_PER_WORD, MOST_CALLS = 4, 400
"""Texts that are scored for each word, and for a whole text."""
MOST_WORDS = 100
"""Words that are looked at one by one; longer texts are looked at in phrases first."""
PHRASES = 30
"""A phrase is up to one part in so many of a long text, and ends with a sentence where one ends in its second half."""
FOR_PHRASES = 0.4
"""Share of the calls of a long text that goes to its phrases."""
SENTENCE_ENDS = frozenset(".!?\u2026\u3002\uff01\uff1f\u061f\u06d4\u0964")

Score = Callable[[list[str], list[str] | None], NDArray[np.float64]]
"""From texts, and the second texts of pairs, to a number for each, shape (texts,)."""


@dataclass(frozen=True)
class Word:
    """A word, its place, and what it does to the score."""

    text: str
    start: int
    """Place of its first character in the text as it was given."""
    end: int
    """Place behind its last character."""
    weight: float
    """What the score loses without the word; below 0 for a word that speaks against."""
    in_pair: bool = False
    """Whether it stands in the second text."""
    read: bool = True
    """False for a word that is beyond what the model reads; its weight is 0."""


@dataclass(frozen=True)
class Explanation:
    """What each word of a text does to one score."""

    label: str
    """The class, or the name of the number."""
    score: float
    """Log-odds of the class, or for regression the value."""
    words: tuple[Word, ...]
    """In the order of the text; those of a second text follow."""

    def as_dict(self) -> dict[str, Any]:
        """As it is written in JSON."""
        return {"label": self.label, "score": self.score, "words": [asdict(word) for word in self.words]}


def explain(
    score: Score, parts: tuple[Words, ...], label: str = "", read: NDArray[np.bool_] | None = None
) -> Explanation:
    """What each word does to the score; the same for the same score and text.

    A text of n words costs about 4 n scores, and never more than about 400. Of a text of more than a hundred words the
    phrases are weighed first, then the words of those that count most; each of the other words gets its share of its
    phrase.

    Args:
        score: gives the log-odds of a class, or a value, for changed texts.
        parts: the text, and for pairs the second one.
        label: name of what is scored.
        read: which words the model reads, shape (words of all parts,); left out: all.
    """
    changes = _Changes(score, parts, np.ones(sum(map(len, parts)), bool) if read is None else read)
    whole = float(changes(np.ones((1, len(changes.places)), bool))[0])
    weights = np.zeros(len(changes.read))
    weights[changes.places] = _weigh(changes)
    words = []
    for number, (second, part, place) in enumerate(_numbered(parts)):
        start, end = part.spans[place]
        words.append(Word(part[place], start, end, float(weights[number]), second, bool(changes.read[number])))
    return Explanation(label, whole, tuple(words))


class _Changes:
    """Scores of a text without some of the words that are read; each changed text is scored once."""

    def __init__(self, score: Score, parts: tuple[Words, ...], read: NDArray[np.bool_]) -> None:
        self._score, self.parts, self.read = score, parts, read
        self.places = np.flatnonzero(read)
        """The words that are read, among all."""
        self._known: dict[tuple[str, ...], float] = {}

    def __call__(self, masks: Masks) -> Numbers:
        """Scores, shape (texts,), by which of the words that are read are kept, shape (texts, words read)."""
        texts = [self._text(mask) for mask in masks]
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            seconds = [text[1] for text in new] if len(self.parts) > 1 else None
            scores = self._score([text[0] for text in new], seconds)
            self._known.update(zip(new, np.asarray(scores, np.float64).tolist(), strict=True))
        return np.array([self._known[text] for text in texts], np.float64)

    def _text(self, mask: NDArray[np.bool_]) -> tuple[str, ...]:
        kept = np.zeros(len(self.read), bool)
        kept[self.places] = mask
        ends = np.cumsum([len(part) for part in self.parts])[:-1]
        return tuple(part.keeping(own) for part, own in zip(self.parts, np.split(kept, ends), strict=True))


def _weigh(changes: _Changes) -> Numbers:
    """Weights of the words that are read."""
    count = len(changes.places)
    if count <= MOST_WORDS:
        return attribute(changes, count, CALLS_PER_WORD * count)
    phrases = _phrases(changes)
    calls = int(MOST_CALLS * FOR_PHRASES)
    of_phrases = attribute(lambda kept: changes(kept[:, phrases]), int(phrases[-1]) + 1, calls)
    weights: Numbers = (of_phrases / np.bincount(phrases))[phrases]
    chosen = _words_of_most(phrases, of_phrases, (MOST_CALLS - calls) // CALLS_PER_WORD)

    def without(kept: Masks) -> Numbers:
        masks = np.ones((len(kept), count), bool)
        masks[:, chosen] = kept
        return changes(masks)

    weights[chosen] = attribute(without, len(chosen), CALLS_PER_WORD * len(chosen))
    return weights


def _phrases(changes: _Changes) -> NDArray[np.int64]:
    """Number of the phrase of each word that is read, shape (words read,)."""
    count = len(changes.places)
    longest = max(2, -(-count // PHRASES))
    every = list(_numbered(changes.parts))
    numbers: list[int] = []
    phrase = length = 0
    for place, following in zip(changes.places, [*changes.places[1:], None], strict=True):
        numbers.append(phrase)
        length += 1
        second, part, inside = every[place]
        ended = part[inside][-1] in SENTENCE_ENDS and 2 * length >= longest
        if length >= longest or ended or (following is not None and every[following][0] != second):
            phrase, length = phrase + 1, 0
    return np.array(numbers)


def _words_of_most(phrases: NDArray[np.int64], weights: Numbers, most: int) -> NDArray[np.int64]:
    """The words of the phrases that count most, as many phrases as fit."""
    chosen: list[NDArray[np.int64]] = []
    for phrase in np.argsort(-np.abs(weights), kind="stable"):
        words = np.flatnonzero(phrases == phrase)
        if chosen and sum(map(len, chosen)) + len(words) > most:
            break
        chosen.append(words[:most])
    return np.sort(np.concatenate(chosen))


def _numbered(parts: tuple[Words, ...]) -> Iterator[tuple[bool, Words, int]]:
    """For each word whether it stands in the second text, its text, and its number there."""
    for second, part in enumerate(parts):
        for place in range(len(part)):
            yield bool(second), part, place
