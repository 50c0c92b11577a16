"""What is compared: texts, models, contenders, how many rows each has, and in which order they have their turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FORGEML = "forgeml"
"""The contender that all others are compared with."""
SPEED, ACCURACY = "speed", "accuracy"
"""An epoch over few rows, in rounds; and over all rows, once for each seed, with a score at the end."""
MODEL, DISTILBERT, BERT = "model", "distilbert", "bert"
"""The folder that was given, and random weights in the real dimensions of two others, which only speed is read of."""


@dataclass(frozen=True)
class Texts:
    """One kind of texts, and how it is trained on."""

    folder: str
    """Of the data."""
    max_length: int
    """Tokens of a text that are read."""
    batch_size: int


TEXTS = {"short": Texts("tweet_eval_sentiment", 128, 32), "long": Texts("imdb", 256, 8)}

SPEED_ROWS = {
    "cpu": {"short": {MODEL: 1024, DISTILBERT: 512, BERT: 512}, "long": {MODEL: 256, DISTILBERT: 128, BERT: 128}},
    "cuda": {
        "short": dict.fromkeys((MODEL, DISTILBERT, BERT), 40_960),
        "long": dict.fromkeys((MODEL, DISTILBERT, BERT), 16_384),
    },
}
"""Rows of an epoch that is timed; on two cores the fastest take about 15 seconds for them."""
SIZES = {"cpu": (MODEL, DISTILBERT), "cuda": (DISTILBERT, BERT)}
"""That are measured where none are named."""


@dataclass(frozen=True)
class Contender:
    """One way to train."""

    program: str
    """Module of this package that trains."""
    precision: str
    """On a processor, as `training.precision` is written; on a GPU all compute in bf16."""
    neural: bool = True
    """The others have no speed to compare: what they learn in a second is another thing."""
    share: float = 1.0
    """Of the rows that are timed."""


CONTENDERS = {
    # Padded to one length it is as fast on any texts, so half of them will do.
    "script": Contender("peer_trainer", "fp32", share=0.5),
    "dynamic": Contender("peer_trainer", "fp32"),
    "best": Contender("peer_trainer", "bf16"),
    "forgeml-fp32": Contender("peer_forgeml", "fp32"),
    FORGEML: Contender("peer_forgeml", "auto"),
    "tfidf": Contender("peer_tfidf", "", neural=False),
    "fasttext": Contender("peer_fasttext", "", neural=False),
}


def has_part(name: str, kind: str, size: str, device: str) -> bool:
    """Whether a contender is measured there at all."""
    if device == "cuda" and name == "forgeml-fp32":
        return False
    return CONTENDERS[name].neural if kind == SPEED else size == MODEL


def precision_of(name: str, device: str) -> str:
    """What a contender computes in."""
    return "bf16" if device == "cuda" and CONTENDERS[name].neural else CONTENDERS[name].precision


def turn_order(names: Sequence[str], turn: int) -> list[str]:
    """Another one first in each turn, and every second turn backwards, so that neighbours change too."""
    place = turn % len(names)
    turned = [*names[place:], *names[:place]]
    return turned[::-1] if turn % 2 else turned
