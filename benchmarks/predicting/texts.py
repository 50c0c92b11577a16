"""Labelled texts of CSV files, by the columns that a model was trained on."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forgeml.data.texts import JOINT
from forgeml.optimizing.samples import CALIBRATION_TEXTS, SEED
from forgeml.records import ListedTexts, Split


@dataclass(frozen=True)
class Sample:
    """What one model is measured with."""

    measured: Split
    """Drawn from the texts that were held out, in their own order."""
    calibration: ListedTexts
    """Others, which numbers in eight bits are set by."""
    held_out: int
    """Texts that `measured` was drawn from."""
    left_out: int
    """Rows without a label that the model knows."""
    calibrated_by: str
    """Where the others come from, in words."""


def read_sample(manifest: Mapping[str, Any], test: Path, train: Path | None, most: int) -> Sample:
    """Texts to measure with, and others for calibration: drawn from `train`, or else the last rows of `test`.

    Args:
        manifest: of the model; it has the columns and the labels.
        test: CSV file of labelled texts that the model was not trained on.
        train: CSV file of other texts.
        most: texts to measure with at most.
    """
    texts, labels, left_out = read_labelled(test, manifest)
    if train is None:
        aside = min(CALIBRATION_TEXTS, len(texts) // 5)
        rest = len(texts) - aside
        calibration = picked(texts, range(rest, len(texts)))
        by = f"the last {aside} rows of {test.name}, which are not measured"
    else:
        others, rest = read_texts(_rows(train), manifest), len(texts)
        calibration = picked(others, _draw(len(others), CALIBRATION_TEXTS))
        by = f"{len(calibration)} texts of {train.name}"
    chosen = _draw(rest, most)
    measured = Split(test.name, picked(texts, chosen), labels[chosen])
    return Sample(measured, calibration, rest, left_out, by)


def read_labelled(file: Path, manifest: Mapping[str, Any]) -> tuple[ListedTexts, np.ndarray, int]:
    """Texts, their labels as `forgeml.metrics` takes them, and the number of rows that were left out."""
    task, names, data = manifest["task"], manifest["labels"], manifest["data"]
    column, rows = data["label_column"], _rows(file)
    if not isinstance(column, str) or (task == "multi_label" and not data["label_separator"]):
        raise ValueError(f"{file.name}: labels must stand in one column here, several of them with a separator")
    found = [_label(task, row[column], names, data["label_separator"]) for row in rows]
    kept = [row for row, label in zip(rows, found, strict=True) if label is not None]
    kind = {"single_label": np.int64, "multi_label": np.uint8, "regression": np.float32}[task]
    labels = np.array([label for label in found if label is not None], kind)
    if not len(labels):
        raise ValueError(f"{file.name}: no row has a label that the model knows; column {column!r}, labels {names}")
    return read_texts(kept, manifest), labels, len(rows) - len(kept)


def read_texts(rows: Sequence[Mapping[str, str]], manifest: Mapping[str, Any]) -> ListedTexts:
    """The texts of rows, or pairs of them."""
    columns, pair = manifest["data"]["text_column"], manifest["data"]["text_pair_column"]
    columns = [columns] if isinstance(columns, str) else columns
    firsts = [JOINT.join(row[name] or "" for name in columns) for row in rows]
    return ListedTexts(firsts, [row[pair] or "" for row in rows] if pair else None)


def picked(texts: ListedTexts, places: Sequence[int] | np.ndarray) -> ListedTexts:
    """Some of the texts, by their places."""
    seconds = None if texts.seconds is None else [texts.seconds[place] for place in places]
    return ListedTexts([texts.firsts[place] for place in places], seconds)


def of_median_length(texts: ListedTexts) -> ListedTexts:
    """The one text that half of the others are shorter than, in characters."""
    seconds = texts.seconds or [""] * len(texts)
    lengths = [len(first) + len(second) for first, second in zip(texts.firsts, seconds, strict=True)]
    return picked(texts, [int(np.argsort(lengths, kind="stable")[len(texts) // 2])])


def _rows(file: Path) -> list[dict[str, str]]:
    csv.field_size_limit(10**9)
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


def _label(task: str, value: str | None, names: Sequence[str], separator: str | None) -> Any:  # noqa: ANN401
    """A label as an array takes it, or None for one that is not there or not known."""
    if value is None or (not value.strip() and task != "multi_label"):
        return None
    if task == "regression":
        return float(value)
    if task == "single_label":
        return names.index(value.strip()) if value.strip() in names else None
    said = {name.strip() for name in value.split(separator) if name.strip()}
    return [int(name in said) for name in names] if said <= set(names) else None


def _draw(size: int, most: int) -> np.ndarray:
    return np.sort(np.random.default_rng(SEED).permutation(size)[:most])
