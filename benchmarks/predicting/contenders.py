"""What is compared: the engines that are installed, on a copy of a model with the files of all, and the pipeline."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from forgeml.inference.classifier import PROBABILITIES, Classifier
from forgeml.inference.engines import ENGINES, PLAIN, RECORD
from forgeml.machine import describe_machine
from forgeml.model.logits import Logits
from forgeml.model.manifest import MANIFEST, file_hashes
from forgeml.records import Cut, ListedTexts

PIPELINE, BATCHED = "pipeline", "pipeline-32"
"""`transformers.pipeline`, given one text at a time, and all of them with a batch size of 32."""
BATCH = 32

Answer = Callable[[Sequence[str], Sequence[str] | None], object]


@dataclass(frozen=True)
class Contender:
    """Something that answers."""

    name: str
    answer: Answer
    """Takes texts and their second texts, as a user would call it."""
    logits: Callable[[ListedTexts], Logits] | None = None
    """None for what answers the same as another one does."""


def build_apart(model: Path, place: Path, calibration: ListedTexts) -> dict[str, str]:
    """What `_build` does, in a process of its own, so that nothing of it stays in the one that measures."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(_build, model, place, calibration).result()


def _build(model: Path, place: Path, calibration: ListedTexts) -> dict[str, str]:
    """Copy a model to `place` with the files of every engine, and say of the engines that cannot be had why not."""
    from forgeml.optimizing.building import build_all

    shutil.copytree(model, place, ignore=shutil.ignore_patterns("onnx", "openvino"))
    reference = Classifier.from_pretrained(model, "cpu", PLAIN)
    record, reasons = build_all(place, file_hashes(place), calibration, reference.cut, lambda done, total: None)
    record = {"name": PLAIN, "device": "cpu", "machine": describe_machine(), **record}
    whole = {**reference.manifest, RECORD: record, "files": file_hashes(place)}
    (place / MANIFEST).write_text(json.dumps(whole), encoding="utf-8")
    return reasons


def sizes(place: Path, names: Sequence[str]) -> dict[str, int]:
    """Bytes of the files that hold the weights of each contender."""
    record = json.loads((place / MANIFEST).read_text(encoding="utf-8")).get(RECORD, {})
    plain = [path.name for path in place.glob("*.safetensors")]
    files = {name: record.get("files", {}).get(name, plain) for name in names}
    return {name: sum((place / file).stat().st_size for file in some) for name, some in files.items()}


def cut_of(place: Path) -> Cut:
    """What a model reads of a long text."""
    return Classifier.from_pretrained(place, "cpu", PLAIN).cut


def names_without(reasons: dict[str, str]) -> list[str]:
    """All contenders but the engines that cannot be had."""
    return [PIPELINE, BATCHED, *(name for name in ENGINES if name not in reasons)]


def open_all(place: Path, names: Sequence[str]) -> tuple[Classifier, list[Contender]]:
    """The reference, and all contenders ready to answer, in the order of their names."""
    from transformers import pipeline

    reference = Classifier.from_pretrained(place, "cpu", PLAIN)
    pipe = pipeline("text-classification", model=str(place), device="cpu")
    cut = {"truncation": True, "max_length": reference.cut.max_length}
    opened = {
        PIPELINE: Contender(PIPELINE, partial(_one_by_one, pipe, cut)),
        BATCHED: Contender(BATCHED, partial(_batched, pipe, cut), partial(_pipeline_logits, pipe, cut, reference)),
    }
    for name in names:
        if name not in opened:
            engine = reference if name == PLAIN else Classifier.from_pretrained(place, "cpu", name)
            opened[name] = Contender(name, engine.predict, engine.logits)
    return reference, [opened[name] for name in names]


def scores(task: str, logits: Logits) -> np.ndarray:
    """What a user sees: probabilities, or the number of a regression; shape (texts, outputs)."""
    return np.asarray(PROBABILITIES[task](logits) if task in PROBABILITIES else logits, np.float64)


def _one_by_one(pipe: Any, cut: dict[str, Any], firsts: Sequence[str], seconds: Sequence[str] | None) -> object:  # noqa: ANN401
    return [pipe(one, **cut) for one in _asked(firsts, seconds)]


def _batched(pipe: Any, cut: dict[str, Any], firsts: Sequence[str], seconds: Sequence[str] | None) -> object:  # noqa: ANN401
    return pipe(_asked(firsts, seconds), batch_size=BATCH, **cut)


def _asked(firsts: Sequence[str], seconds: Sequence[str] | None) -> list[Any]:
    if seconds is None:
        return list(firsts)
    return [{"text": first, "text_pair": second} for first, second in zip(firsts, seconds, strict=True)]


def _pipeline_logits(pipe: Any, cut: dict[str, Any], reference: Classifier, texts: ListedTexts) -> Logits:  # noqa: ANN401
    """Logits that give the pipeline's scores: it tells no others."""
    told = pipe(_asked(texts.firsts, texts.seconds), batch_size=BATCH, top_k=None, **cut)
    by_name = [{one["label"]: one["score"] for one in row} for row in told]
    found = np.array([[row[name] for name in reference.labels] for row in by_name], np.float64)
    if reference.task == "regression":
        return found
    found = np.clip(found, 1e-12, 1 - 1e-12)
    return np.log(found) if reference.task == "single_label" else np.log(found / (1 - found))
