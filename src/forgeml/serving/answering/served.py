"""A model that answers requests: the classifier, what is told of it, and the thread that it works in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from forgeml.errors import ModelError
from forgeml.inference.classifier import Classifier
from forgeml.model.manifest import file_hashes
from forgeml.records import ListedTexts
from forgeml.serving.answering.cutting import Reads
from forgeml.serving.answering.microbatch import Microbatcher, OnBatch
from forgeml.serving.asking import Facts
from forgeml.serving.limits import Limits

PROBES = ("a", "A few words, as a person would write them.", "word " * 400, "")
"""What a model has to read before it answers anybody; the long one also shows that the memory suffices."""

HIDDEN = ("config", "data", "files")
"""Parts of the manifest that may name files and folders of the machine that trained the model."""


@dataclass(frozen=True)
class Opening:
    """How a saved folder is opened, each time that it is."""

    folder: str
    engine: str
    device: str
    limits: Limits


@dataclass(frozen=True)
class Served:
    """One version of the model, as long as it answers."""

    classifier: Classifier
    facts: Facts
    batcher: Microbatcher

    @classmethod
    def open(cls, how: Opening, on_batch: OnBatch) -> Self:
        """Open a saved folder, and have it read some texts.

        Raises:
            ConfigError, ModelError, MachineError: as `Classifier.from_pretrained`.
            ModelError: it gives numbers that are none.
        """
        classifier = Classifier.from_pretrained(how.folder, how.device, how.engine)
        seconds = PROBES[::-1] if classifier.pairs else None
        if not np.isfinite(classifier.logits(ListedTexts(PROBES, seconds))).all():
            what = "the model gives numbers that are not finite"
            raise ModelError.at(how.folder, what, "train it anew, or choose another engine by --engine")
        folder = Path(how.folder).expanduser().resolve()
        version = _version(classifier.manifest, folder)
        facts = Facts(folder.name, version, classifier.task, classifier.labels, classifier.pairs)
        return cls(classifier, facts, Microbatcher(classifier, how.limits, on_batch))

    @property
    def reads(self) -> Reads:
        """Which part of a text that is too long the model reads."""
        if self.classifier.cut.long_texts == "head_tail":
            return "both"
        return "start" if self.classifier.reads_start else "end"

    def about(self) -> dict[str, Any]:
        """What `/info` tells of the model: that, its metrics, and its manifest without paths."""
        model, several = self.classifier, self.facts.task == "multi_label"
        manifest = _without_paths(model.manifest)
        return {
            "model": {
                "name": self.facts.name,
                "version": self.facts.version,
                "task": self.facts.task,
                "labels": list(self.facts.labels),
                "pairs": self.facts.pairs,
                "thresholds": dict(zip(model.labels, model.thresholds.tolist(), strict=True)) if several else None,
                "engine": model.engine,
                "device": model.device,
                "note": model.note,
                "max_length": model.cut.max_length,
                "long_texts": model.cut.long_texts,
            },
            "metrics": manifest.get("metrics", {}),
            "manifest": manifest,
        }


def _without_paths(manifest: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in manifest.items() if name not in HIDDEN}
    if "model" in told:
        # A pre-trained model from a local folder has the path as its name.
        name = told["model"]["name"]
        told["model"] = {**told["model"], "name": Path(name).name if Path(name).is_absolute() else name}
    return told


def _version(manifest: Mapping[str, Any], folder: Path) -> str:
    """Of the model: over the manifest, which has the hashes of all files, or else over the files themselves."""
    told = manifest or file_hashes(folder)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
