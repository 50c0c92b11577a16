"""What a classifier is asked, so that its answer can be explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from forgeml.errors import nearest
from forgeml.inference.explaining.explanation import Explanation, explain
from forgeml.inference.explaining.reach import words_read
from forgeml.inference.explaining.words import Words
from forgeml.model.logits import Logits
from forgeml.records import Cut, ListedTexts, Prediction, Task, Texts

if TYPE_CHECKING:
    from forgeml.data.tokens.tokenizing import AnyTokenizer


class Answering(Protocol):
    """What is asked of a classifier."""

    task: Task
    labels: tuple[str, ...]
    cut: Cut

    def predict(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> list[Prediction]:
        """The answers to some texts."""

    def logits(self, texts: Texts, on_progress: Callable[[int], None]) -> Logits:
        """What the answers are made of, shape (texts, outputs)."""


def explain_answer(
    classifier: Answering,
    tokenizer: AnyTokenizer,
    texts: tuple[str, str | None],
    label: str | None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Explanation:
    """How much each word speaks for a label, or raises the value of a regression.

    The classifier is only asked for logits of changed texts, so any engine that gives logits will do.

    Args:
        classifier: that answers.
        tokenizer: of the classifier's model.
        texts: to be explained, and the second text for a classifier of pairs.
        label: left out: the class of the highest score, for multi-label too.
        on_progress: told the number of changed texts that are done of those asked for together.

    Raises:
        TypeError: something is not text.
        ValueError: a pair where the model wants single texts or the reverse, or a label that the model does not have.
        MachineError: the memory does not suffice.
    """
    text, pair = texts
    [answer] = classifier.predict([text], None if pair is None else [pair])
    chosen = label
    if chosen is None:
        chosen = (
            classifier.labels[0]
            if classifier.task == "regression"
            else max(answer.scores, key=lambda name: answer.scores[name])
        )
    if chosen not in classifier.labels:
        close = nearest(chosen, classifier.labels)
        hint = f"did you mean {close!r}?" if close else f"there are {', '.join(map(repr, classifier.labels[:10]))}"
        raise ValueError(f"this model has no label {chosen!r}; {hint}")
    place, several = classifier.labels.index(chosen), classifier.task == "single_label"

    def score(changed: list[str], pairs: list[str] | None) -> NDArray[np.float64]:
        logits = classifier.logits(ListedTexts(changed, pairs), on_progress).astype(np.float64)
        return log_odds(logits, place) if several else logits[:, place]

    parts = tuple(Words.of(part) for part in (text, pair) if part is not None)
    return explain(score, parts, chosen, words_read(tokenizer, parts, classifier.cut))


def log_odds(logits: NDArray[np.float64], place: int) -> NDArray[np.float64]:
    """Logarithm of the odds of one class against all others, shape (texts,), from logits of shape (texts, classes)."""
    others = np.delete(logits, place, axis=1)
    highest = others.max(axis=1)
    odds: NDArray[np.float64] = logits[:, place] - highest - np.log(np.exp(others - highest[:, None]).sum(axis=1))
    return odds
