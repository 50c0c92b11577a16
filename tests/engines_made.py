"""A saved folder with the files of all engines, as if each of them had been the best."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from forgeml.data.batches import SCORING_BATCH
from forgeml.inference.classifier import Classifier
from forgeml.inference.engines import PLAIN, RECORD
from forgeml.machine import describe_machine
from forgeml.model.manifest import MANIFEST, file_hashes
from forgeml.optimizing.building import build_all
from forgeml.records import ListedTexts

INPUTS = {
    "input_ids": np.array([[2, 5, 6, 3]]),
    "attention_mask": np.ones((1, 4), np.int64),
    "token_type_ids": np.zeros((1, 4), np.int64),
}
"""A text of four tokens, as engines take it."""

TEXTS = ["A lovely film.", "Boring and bad.", "A good " * 30 + "end", "The river.", "wonderful", "awful " * 90] * 3


def with_all_engines(saved: Path, place: Path, best: str = PLAIN, pairs: bool = False) -> Path:
    """A copy of the saved folder at `place` whose record names `best` and has the files of every engine."""
    shutil.copytree(saved, place)
    reference = Classifier.from_pretrained(saved, "cpu", PLAIN)
    texts = ListedTexts(TEXTS[:SCORING_BATCH], TEXTS[:SCORING_BATCH][::-1] if pairs else None)
    record, reasons = build_all(place, file_hashes(place), texts, reference.cut, lambda done, total: None)
    assert not reasons
    record = {"name": best, "device": "cpu", "machine": describe_machine(), **record}
    write_record(place, {**reference.manifest, RECORD: record, "files": file_hashes(place)})
    return place


def write_record(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest as it is given."""
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def change_record(folder: Path, **changes: Any) -> None:
    """Change entries of the record."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest[RECORD] |= changes
    write_record(folder, manifest)
