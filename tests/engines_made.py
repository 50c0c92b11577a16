"""A saved folder with the files of all engines, as if each of them had been the best."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from forgeml.data.batches import SCORING_BATCH
from forgeml.inference.classifier import Classifier
from forgeml.inference.engines import PLAIN, RECORD
from forgeml.machine import describe_machine
from forgeml.model.manifest import MANIFEST, file_hashes
from forgeml.model.saved import open_saved
from forgeml.optimizing.building import RECIPES, build, calibration_inputs, files_of, record_tokenizer
from forgeml.records import ListedTexts

TEXTS = ["A lovely film.", "Boring and bad.", "A good " * 30 + "end", "The river.", "wonderful", "awful " * 90] * 3


def with_all_engines(saved: Path, place: Path, best: str = PLAIN, pairs: bool = False) -> Path:
    """A copy of the saved folder at `place` whose record names `best` and has the files of every engine."""
    shutil.copytree(saved, place)
    model, tokenizer, manifest = open_saved(place, "cpu")
    cut = Classifier.from_pretrained(saved, "cpu", PLAIN).cut
    texts = ListedTexts(TEXTS[:SCORING_BATCH], TEXTS[:SCORING_BATCH][::-1] if pairs else None)
    reasons = build(place, model, tokenizer, calibration_inputs(tokenizer, texts, cut), lambda done, total: None)
    assert not reasons
    record = {
        "name": best,
        "device": "cpu",
        "machine": describe_machine(),
        "files": {name: files_of(name, place) for name in RECIPES},
        "tokenizer": record_tokenizer(tokenizer, place),
        "max_length": cut.max_length,
        "weights": {
            name: f"{known} {(place / name).stat().st_size}"
            for name, known in file_hashes(place).items()
            if name in ("config.json", "model.safetensors")
        },
    }
    write_record(place, {**manifest, RECORD: record, "files": file_hashes(place)})
    return place


def write_record(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest as it is given."""
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def change_record(folder: Path, **changes: Any) -> None:
    """Change entries of the record."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest[RECORD] |= changes
    write_record(folder, manifest)
