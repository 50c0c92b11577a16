"""Real texts to ask with: short and long ones of public data sets, or else those of the starter."""

from __future__ import annotations

import csv
import gzip
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

STARTER = Path(__file__).resolve().parents[2] / "quickstart" / "starter" / "data" / "test.csv"
SHORT, LONG = "short", "long"
FILES = {SHORT: "tweet_eval_sentiment/test.csv.gz", LONG: "imdb/test.csv.gz"}
JOINED = 15
"""Texts of the starter that are put together for a long one: about 300 words."""
SEED = 1


@dataclass(frozen=True)
class Texts:
    """What servers are asked about."""

    source: str
    """In words."""
    texts: tuple[str, ...]


def read_texts(kind: str, data: Path | None, most: int) -> Texts:
    """Texts of one kind, drawn by a fixed seed.

    Args:
        kind: SHORT or LONG.
        data: folder that holds FILES; None for the starter.
        most: texts at most.

    Raises:
        OSError: the file is not there.
    """
    draw = random.Random(SEED)
    if data is not None:
        found = _column(data / FILES[kind])
        return Texts(FILES[kind], tuple(draw.sample(found, min(most, len(found)))))
    if not STARTER.is_file():
        raise FileNotFoundError("the starter is not here; `make starter` gets it, or name other texts with --data")
    found = _column(STARTER)
    if kind == SHORT:
        return Texts("the starter's test.csv", tuple(draw.sample(found, min(most, len(found)))))
    joined = tuple(" ".join(draw.sample(found, JOINED)) for _ in range(most))
    return Texts(f"the starter's test.csv, {JOINED} rows together", joined)


def mean_tokens(texts: Sequence[str], model: Path, max_length: int) -> float:
    """Tokens that a model reads of each text on average."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return statistics.mean(len(one.ids) for one in tokenizer.encode_batch(list(texts)))


def _column(file: Path) -> list[str]:
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8", newline="") as lines:
        return [row["text"] for row in csv.DictReader(lines)]
