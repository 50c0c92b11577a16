"""Files to be scored, and a classifier that needs no model."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from forgeml.events import Event
from forgeml.inference.files.columns import Scorer
from forgeml.inference.files.places import source_of, target_of
from forgeml.inference.files.scoring import Job, Scored, score_file
from forgeml.records import Prediction

SCORER = Scorer("single_label", ("neg", "pos"), "one model", pairs=False, text_columns=("text",))

ROWS: Sequence[Mapping[str, Any]] = [
    {"id": "007", "text": 'a "good" film, indeed', "note": "NA"},
    {"id": "1e5", "text": "bad\nin two lines", "note": ""},
    {"id": "x", "text": "naïve 🎬 good", "note": "tab\there"},
]
"""Texts alone, as every kind of file has them."""


def predict(
    texts: Sequence[str], pairs: Sequence[str] | None = None, on_progress: Callable[[int], None] = lambda done: None
) -> list[Prediction]:
    """Answers that depend on nothing but each text: its length, and whether it holds `good`."""
    seconds = pairs if pairs is not None else [""] * len(texts)
    for done in range(512, len(texts), 512):
        on_progress(done)
    return [_answer(f"{text}{second}") for text, second in zip(texts, seconds, strict=True)]


def _answer(text: str) -> Prediction:
    share = 1 / (2 + len(text))
    scores = {"neg": share, "pos": 1 - share} if "good" in text else {"neg": 1 - share, "pos": share}
    label = max(scores, key=lambda name: scores[name])
    return Prediction(label, scores[label], scores)


def score(name: str, output: str, scorer: Scorer = SCORER, told: list[Event] | None = None, **job: Any) -> Scored:
    """Score a file in this folder into another one."""
    source = source_of(name, None, io.BytesIO())
    target = target_of(output, None, source, True, lambda piece: None)
    events: list[Event] = [] if told is None else told
    return score_file(Job(source, target, **job), scorer, predict, events.append)


def write(path: Path, rows: Sequence[Mapping[str, Any]] = ROWS) -> Path:
    """Write rows as the kind that the name says."""
    inner = path.name.removesuffix(".gz")
    if inner.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
        return path
    text = io.StringIO()
    if inner.endswith((".csv", ".tsv")):
        writer = csv.DictWriter(text, list(rows[0]), delimiter="\t" if inner.endswith(".tsv") else ",")
        writer.writeheader()
        writer.writerows(rows)
    elif inner.endswith(".json"):
        json.dump(list(rows), text)
    else:
        text.writelines(json.dumps(row) + "\n" for row in rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a file, without the code that is tested."""
    inner = path.name.removesuffix(".gz")
    if inner.endswith(".parquet"):
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.name.endswith(".gz") else content).decode()
    if inner.endswith((".csv", ".tsv")):
        delimiter = "\t" if inner.endswith(".tsv") else ","
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    return json.loads(text) if inner.endswith(".json") else [json.loads(line) for line in text.splitlines()]
