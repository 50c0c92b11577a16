"""Everything up to the first step, and what it tells about the rest: `forgeml plan`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from forgeml.config.schema import Config
from forgeml.data.batches import SCORING_BATCH, plan_scoring
from forgeml.errors import ForgeError, Problem
from forgeml.machine import memory_errors
from forgeml.records import EncodedTexts, Runtime, Source, Splits
from forgeml.runtime import memory_of
from forgeml.training import story
from forgeml.training.fine_tune import evaluations_in_run
from forgeml.training.lock import refuse_if_held
from forgeml.training.loop import steps_in_epoch, steps_in_run
from forgeml.training.materials import (
    Materials,
    Reader,
    Tell,
    encode_part,
    find_data,
    find_machine,
    find_model,
    put_together,
)
from forgeml.training.outputs import Outputs, Room
from forgeml.training.timing import Pace, time_scoring, time_training, work_of

BINS = 8
"""Bars of the length histogram up to the longest text that is read whole."""
TRACKING_S = 4.0
"""Seconds that MLflow takes on a local store to begin a run and to take the model in."""
BYTES_WRITTEN_A_SECOND = 150e6
"""Of a model that is saved, hashed and read again; a slow disk."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class Plan:
    """What a run would do."""

    facts: Mapping[str, Any]
    """What was found, by topic; a topic that could not be looked at is not there."""
    error: ForgeError | None
    """All that keeps the run from starting, of the kind that `train` would raise first."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is to be fixed."""
        return self.error.problems if self.error else ()


@dataclass(frozen=True)
class Timed:
    """What was measured on this machine."""

    gathered: float
    """Seconds until a run takes its first step, with all tokens in the cache."""
    epoch: float
    """Seconds of one pass over the training texts."""
    scoring: Pace
    """Of the model in the precision of the training."""
    saved: Pace
    """Of the saved model."""


def make_plan(config: Config, tell: Tell = lambda event: None) -> Plan:
    """Look at machine, model and data, take a few steps, and tell what the run would be.

    Nothing is written but what may be downloaded and what is kept in the caches.

    Args:
        config: the resolved configuration.
        tell: is given notes and progress as they happen.
    """
    started = time.monotonic()
    errors: list[ForgeError] = []

    def attempt(look: Callable[[], Found]) -> Found | None:
        try:
            return look()
        except ForgeError as error:
            errors.append(error)
            return None

    facts: dict[str, Any] = {}
    outputs = attempt(lambda: Outputs(config.output_dir, config.training.keep_checkpoints, config.on_existing_model))
    attempt(lambda: refuse_if_held(config.output_dir))
    runtime = attempt(lambda: find_machine(config, tell))
    reader = attempt(lambda: find_model(config, tell))
    hub_away = reader is not None and reader.pretrained.hub_away
    data = attempt(lambda: find_data(config, tell, hub_away=hub_away))
    if runtime:
        facts["machine"] = {"device": runtime.device, "precision": runtime.precision, "threads": runtime.threads}
    if reader:
        facts["model"] = {**asdict(reader.pretrained), **asdict(reader.cut)}
    if data:
        facts["data"] = _data_facts(*data)
    if outputs and runtime and reader and data:
        attempt(lambda: facts.update(_run_facts(config, outputs, (runtime, reader, data), started, tell)))
    problems = [problem for error in errors for problem in error.problems]
    return Plan(facts, type(errors[0])(problems) if errors else None)


def _run_facts(
    config: Config,
    outputs: Outputs,
    found: tuple[Runtime, Reader, tuple[Source, Splits]],
    started: float,
    tell: Tell,
) -> dict[str, Any]:
    """What only model and data together can tell."""
    runtime, reader, (source, splits) = found
    looked = time.monotonic() - started
    with memory_errors(*story.memory(config.training, reader.cut.max_length)):
        # What is tokenized here is kept, so the run itself will find it done.
        encoded = [encode_part(reader, splits, part, tell) for part in splits.parts()]
        began = time.monotonic()
        materials = put_together(config, runtime, reader, (source, splits), tell)
        gathered = looked + time.monotonic() - began
        room = outputs.check_room(materials.model)
        # As the saved model is scored, in fp32; training prepares the model for its own precision.
        saved = time_scoring(materials, tell)
        _, epoch, need = time_training(config.training, materials, tell)
        timed = Timed(gathered, epoch, time_scoring(materials, tell, materials.collate), saved)
        memory = memory_of(runtime.device)
    return {
        "lengths": _length_facts(materials.train, materials.cut.max_length),
        "steps": {
            "in_epoch": steps_in_epoch(len(materials.train), config.training),
            "in_all": steps_in_run(len(materials.train), config.training),
        },
        "disk": asdict(room),
        "memory": {**asdict(memory), **(need.facts() if need else {})},
        "estimate": _estimate(config, materials, encoded[1:], timed, room),
    }


def _data_facts(source: Source, splits: Splits) -> dict[str, Any]:
    duplicates = splits.duplicates
    return {
        "name": source.name,
        "revision": source.revision,
        "bytes": source.bytes,
        "fetched": source.fetched,
        "task": splits.task,
        "understood": story.understood(splits),
        "columns": dict(splits.columns),
        "rows": {part.name: len(part) for part in splits.parts()},
        "left_out": {part.name: dict(part.left_out) for part in splits.parts() if part.left_out},
        "labels": list(splits.class_names),
        "balance": {part.name: story.class_counts(splits, part) for part in splits.parts()},
        "duplicates": {
            "inside": dict(duplicates.repeated),
            "in_train_too": [
                {"split": leak.split, "count": leak.count, "share": leak.count / leak.rows, "samples": leak.samples}
                for leak in duplicates.leaks
            ],
        },
        "two_labels": {"count": duplicates.conflicting, "samples": list(duplicates.conflicting_samples)},
        "empty": dict(duplicates.empty),
        "notes": [*source.notes, *splits.notes, *story.findings(splits)],
    }


def _length_facts(encoded: EncodedTexts, max_length: int) -> dict[str, Any]:
    """How long the training texts are as they are read, in tokens."""
    lengths: NDArray[np.int64] = encoded.lengths
    counts, edges = np.histogram(lengths, bins=BINS, range=(0, max(max_length, int(lengths.max(initial=0)))))
    return {
        "mean": float(lengths.mean()),
        "longest": int(lengths.max()),
        "histogram": [
            {"up_to": round(float(edge)), "texts": int(count)} for edge, count in zip(edges[1:], counts, strict=True)
        ],
        "cut": encoded.truncated,
        "share_cut": encoded.truncated / max(1, len(encoded)),
    }


def _estimate(
    config: Config,
    materials: Materials,
    encoded: Sequence[EncodedTexts],
    timed: Timed,
    room: Room,
) -> dict[str, float]:
    """Seconds that the run will take, by what it does in them."""
    # Averaged weights are evaluated once more.
    evaluations = evaluations_in_run(config, len(materials.train)) + (config.training.average_last is not None)

    def score(pace: Pace, part: EncodedTexts) -> float:
        return pace.seconds(work_of(materials.model, part, plan_scoring(part, SCORING_BATCH)))

    # Validation is scored during the run, and with all other parts once more at its end.
    scoring = evaluations * score(timed.scoring, materials.validation) + sum(score(timed.saved, one) for one in encoded)
    saving = (evaluations + 3) * room.model / BYTES_WRITTEN_A_SECOND + TRACKING_S
    training = config.training.num_epochs * timed.epoch
    total = timed.gathered + training + scoring + saving
    return {"gather": timed.gathered, "train": training, "score": scoring, "save_and_track": saving, "seconds": total}
