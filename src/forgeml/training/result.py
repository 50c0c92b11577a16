"""What comes of a run: the figures of the saved model, and the manifest that tells its story."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgeml.config.loading import without_secrets
from forgeml.config.schema import Config
from forgeml.events import Evaluation
from forgeml.machine import versions
from forgeml.metrics import best_thresholds, compute_metrics
from forgeml.model.saved import open_saved
from forgeml.records import Manifest, Split, Splits
from forgeml.training.materials import Materials, Reader, Tell, encode_part, progress
from forgeml.training.outputs import Outputs
from forgeml.training.scoring import score_logits
from forgeml.training.tracking.tracker import Tracker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from forgeml.records import Labels

WITHOUT_DUPLICATES = "test_without_duplicates"
"""The figures on those texts of test that do not stand in train."""


@dataclass(frozen=True)
class Scored:
    """The figures of a saved model."""

    figures: tuple[Evaluation, ...] = ()
    """Of each split."""
    thresholds: tuple[float, ...] | None = None
    """Multi-label: the probability from which on a class is said, for each class; chosen on validation."""

    @property
    def metrics(self) -> Mapping[str, Mapping[str, float]]:
        """By split."""
        return {evaluation.split: evaluation.metrics for evaluation in self.figures}


def score_saved(outputs: Outputs, materials: Materials, tracker: Tracker, tell: Tell) -> Scored:
    """Figures of the model as it was read back from disk: what is scored is what ships.

    Of several processes, those that see the folder share the work; one on a machine with other disks may not.

    Raises:
        ModelError: the folder does not open.
    """
    # Both would not always fit on a GPU.
    materials.model.cpu()
    processes = materials.processes
    sighted = processes.those(outputs.prepared.is_dir())
    scored = _score(outputs.prepared, replace(materials, processes=sighted), tell) if sighted else Scored()
    for evaluation in scored.figures:
        tracker.log_evaluation(evaluation, prefix="best.")
    return processes.by_main(lambda: scored)


def manifest(config: Config, materials: Materials, scored: Scored) -> Manifest:
    """`forgeml.json` but for the format number and the hashes of files, which the folder adds."""
    source, splits, runtime = materials.source, materials.splits, materials.runtime
    told: dict[str, Any] = {
        "task": splits.task,
        "labels": list(splits.class_names),
        "metrics": scored.metrics,
        "config": resolved(config, materials).model_dump(),
        "data": {
            "name": source.name,
            "revision": source.revision,
            "fingerprint": splits.fingerprint,
            "rows": {part.name: len(part) for part in splits.parts()},
            **splits.columns,
            "rare_labels": list(splits.rare),
        },
        "model": {"name": materials.pretrained.name, "commit": materials.pretrained.commit},
        "runtime": {
            "device": runtime.device,
            "precision": runtime.precision,
            "threads": runtime.threads,
            "processes": materials.processes.count,
        },
        "versions": versions(),
    }
    if scored.thresholds is not None:
        told["thresholds"] = dict(zip(splits.class_names, scored.thresholds, strict=True))
    return told


def resolved(config: Config, materials: Materials) -> Config:
    """The configuration as it is saved and tracked: with what was found in model and data, and without secrets."""
    model = config.model.model_copy(update={"max_length": materials.cut.max_length})
    data = config.data.model_copy(update={"task": materials.splits.task, **materials.splits.columns})
    return without_secrets(config.model_copy(update={"model": model, "data": data}))


def _score(folder: Path, materials: Materials, tell: Tell) -> Scored:
    model, tokenizer, _ = open_saved(folder, materials.runtime.device)
    reader, splits = Reader(materials.pretrained, tokenizer, materials.cut), materials.splits
    processes, parts = materials.processes, splits.parts()[1:]
    tokens = processes.main_first(
        lambda told: [encode_part(reader, splits, part, tell) for part in parts], lambda tokens: None
    )
    figures: list[Evaluation] = []
    thresholds: list[float] | None = None
    for part, encoded in zip(parts, tokens, strict=True):
        on_progress = progress(tell, f"score {part.name}", len(part))
        logits = score_logits(model, encoded, materials.runtime.device, on_progress, processes=processes)
        if splits.task == "multi_label" and part is splits.validation:
            thresholds = best_thresholds(logits, part.labels)
        figures += _figures(splits, part, logits, thresholds)
    return Scored(tuple(figures), None if thresholds is None else tuple(thresholds))


def _figures(
    splits: Splits, part: Split, logits: NDArray[np.float32], thresholds: list[float] | None
) -> list[Evaluation]:
    """Metrics of one part; of test also without the texts that stand in train, if there are any."""

    def measured(name: str, logits: NDArray[np.float32], labels: Labels) -> Evaluation:
        return Evaluation(name, len(labels), compute_metrics(splits.task, logits, labels, thresholds))

    figures, new = [measured(part.name, logits, part.labels)], splits.unseen
    if part is splits.test and new is not None:
        figures.append(measured(WITHOUT_DUPLICATES, logits[new], part.labels[new]))
    return figures
