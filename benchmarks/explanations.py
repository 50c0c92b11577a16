"""Deletion test: how far a score falls without the words that `Classifier.explain` weighs most.

    python benchmarks/explanations.py best_model test.csv --texts 40

The score is the log-odds of the explained class, or the value of a regression. Beside the explained words stand those
that leaving out one word at a time finds, and random ones.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forgeml import Classifier
from forgeml.inference.explaining.asking import log_odds
from forgeml.inference.explaining.explanation import Explanation
from forgeml.inference.explaining.words import Words
from forgeml.records import ListedTexts

REMOVED = (1, 3, 5)
WAYS = ("explained", "one at a time", "random")
DRAWS = 3
"""Random orders that are averaged."""


def main() -> None:
    """Print a row of figures for each way to choose the words."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a saved model")
    parser.add_argument("data", type=Path, help="CSV file with the column text, and text_pair for pairs")
    parser.add_argument("--texts", type=int, default=40, help="how many, drawn at random")
    parser.add_argument("--words", type=int, nargs=2, default=(8, 40), help="fewest and most words of a text")
    options = parser.parse_args()
    classifier = Classifier.from_pretrained(options.model)
    texts = _draw(options.data, options.texts, *options.words)
    drops: dict[str, list[NDArray[np.float64]]] = {way: [] for way in WAYS}
    seconds = 0.0
    for number, text in enumerate(texts, start=1):
        began = time.perf_counter()
        found = classifier.explain(*text)
        seconds += time.perf_counter() - began
        weights = np.array([word.weight for word in found.words])
        drops["explained"].append(_drop(classifier, text, found, weights))
        drops["one at a time"].append(_drop(classifier, text, found, _alone(classifier, text, found)))
        chance = np.random.default_rng(number)
        several = [_drop(classifier, text, found, chance.random(len(weights))) for _ in range(DRAWS)]
        drops["random"].append(np.mean(several, axis=0))
        print(f"{number}/{len(texts)}", *_cells(drops), f"{seconds / number:.2f} s a text", flush=True)


def _cells(drops: dict[str, list[NDArray[np.float64]]]) -> list[str]:
    return [f"| {way}: " + ", ".join(f"{drop:.2f}" for drop in np.mean(drops[way], axis=0)) + " |" for way in WAYS]


def _draw(path: Path, count: int, fewest: int, most: int) -> list[tuple[str, ...]]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    texts = [tuple(row[name] for name in ("text", "text_pair") if name in row) for row in rows]
    fitting = [text for text in texts if fewest <= sum(len(Words.of(part)) for part in text) <= most]
    order = np.random.default_rng(0).permutation(len(fitting))
    return [fitting[place] for place in order[:count]]


def _drop(
    classifier: Classifier, text: Sequence[str], found: Explanation, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What the score loses without the words of the greatest weights, shape (len(REMOVED),)."""
    order = np.argsort(-weights, kind="stable")
    masks = np.ones((1 + len(REMOVED), len(weights)), bool)
    for mask, removed in zip(masks[1:], REMOVED, strict=True):
        mask[order[:removed]] = False
    scores = _scores(classifier, text, found.label, masks)
    return scores[0] - scores[1:]


def _alone(classifier: Classifier, text: Sequence[str], found: Explanation) -> NDArray[np.float64]:
    return found.score - _scores(classifier, text, found.label, ~np.eye(len(found.words), dtype=bool))


def _scores(classifier: Classifier, text: Sequence[str], label: str, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    parts = [Words.of(part) for part in text]
    halves = np.split(masks, np.cumsum([len(part) for part in parts])[:-1], axis=1)
    columns = [[part.keeping(mask) for mask in half] for part, half in zip(parts, halves, strict=True)]
    logits = classifier.logits(ListedTexts(*columns)).astype(np.float64)
    place = classifier.labels.index(label)
    return log_odds(logits, place) if classifier.task == "single_label" else logits[:, place]


if __name__ == "__main__":
    main()
