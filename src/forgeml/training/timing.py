"""How long a run will take: a few real steps are timed, and all others are as long as their tokens make them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray

from forgeml.config.schema import TrainingConfig
from forgeml.data.batches import SCORING_BATCH, Collate, Indexes, collate, padded_size, plan_scoring, plan_training
from forgeml.events import Progress
from forgeml.model.forward import batch_logits
from forgeml.records import EncodedTexts
from forgeml.training.loop import take_step
from forgeml.training.materials import Materials, Tell
from forgeml.training.memory import Need, check_memory
from forgeml.training.preparing import prepare

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SAMPLES = 12
"""Batches that are timed, from the shortest to the longest."""
LONGEST_S = 45.0
"""Seconds after which no further batch is timed."""
FEWEST_SAMPLES = 4
DEFAULT_WIDTH = 768


@dataclass(frozen=True)
class Pace:
    """Seconds for a batch: a part that all batches have, and a part that grows with their work."""

    each: float
    per_work: float

    @classmethod
    def fit(cls, work: NDArray[np.float64], seconds: NDArray[np.float64]) -> Self:
        """The line through the timed batches, neither of its parts below zero."""
        columns = np.stack([np.ones_like(work), work], axis=1)
        # Batches count by their share, not by their seconds: the long ones would hide the short ones.
        each, per_work = np.linalg.lstsq(columns / seconds[:, None], np.ones_like(seconds), rcond=None)[0]
        if each < 0:
            return cls(0.0, float(np.mean(seconds / work)))
        if per_work < 0:
            return cls(float(seconds.mean()), 0.0)
        return cls(float(each), float(per_work))

    def seconds(self, work: NDArray[np.float64]) -> float:
        """For all these batches together."""
        return float((self.each + self.per_work * work).sum())


def time_training(config: TrainingConfig, materials: Materials, tell: Tell) -> tuple[Pace, float, Need | None]:
    """Take a few steps, the longest batch among them; the model is not the same afterwards.

    Returns:
        The pace, the seconds of one epoch, and the memory that was foretold, where that can be told.

    Raises:
        MachineError: there is not enough memory for them.
    """
    learner, training_set = prepare(config, materials)
    need = check_memory(config, materials, learner, training_set, tell)
    plan = plan_training(training_set.encoded.lengths, config.batch_size, config.seed, 0)
    work = work_of(materials.model, training_set.encoded, plan)

    def step(indexes: Indexes) -> None:
        take_step(learner, training_set, [indexes], config, 1)

    pace = _time(plan, work, step, "time training", tell)
    materials.model.zero_grad(set_to_none=True)
    return pace, pace.seconds(work), need


def time_scoring(materials: Materials, tell: Tell, collate: Collate = collate) -> Pace:
    """Score a few batches of validation, made in the way given."""
    device, encoded = materials.runtime.device, materials.validation
    materials.model.to(torch.device(device))  # type: ignore[arg-type]
    materials.model.train(mode=False)

    def score(indexes: Indexes) -> None:
        with torch.inference_mode():
            # Brought back, so that a GPU has really finished.
            batch_logits(materials.model, collate(encoded, indexes), device).cpu()

    plan = plan_scoring(encoded, SCORING_BATCH)
    return _time(plan, work_of(materials.model, encoded, plan), score, "time scoring", tell)


def work_of(model: PreTrainedModel, encoded: EncodedTexts, plan: Sequence[Indexes]) -> NDArray[np.float64]:
    """Work of each batch, in tokens that attend to nothing; shape (batches,).

    Matrix products grow with the tokens, attention with the tokens times their number: 24 w² and 4 w n operations a
    token in each layer of width w, as Kaplan et al. 2020 count them.
    """
    width = getattr(model.config.get_text_config(), "hidden_size", DEFAULT_WIDTH)
    sizes = np.array([padded_size(encoded, indexes) for indexes in plan], dtype=np.float64)
    pieces, longest = sizes.T
    work: NDArray[np.float64] = pieces * longest * (1 + longest / (6 * width))
    return work


def _time(
    plan: Sequence[Indexes], work: NDArray[np.float64], run: Callable[[Indexes], None], task: str, tell: Tell
) -> Pace:
    order = np.argsort(work, kind="stable")
    places = order[np.unique(np.linspace(0, len(plan) - 1, SAMPLES).round().astype(int))]
    # The first pass pays for memory and for kernels that are chosen then; the longest batch takes the most of both.
    run(plan[places[-1]])
    seconds: dict[int, float] = {}
    began = time.perf_counter()
    # From both ends to the middle, so that few samples say much as well.
    for done, place in enumerate(_from_both_ends(places.tolist()), start=1):
        started = time.perf_counter()
        run(plan[place])
        seconds[place] = time.perf_counter() - started
        tell(Progress(task, done, len(places)))
        if done >= FEWEST_SAMPLES and time.perf_counter() - began > LONGEST_S:
            break
    timed = np.array(list(seconds))
    return Pace.fit(work[timed], np.array(list(seconds.values())))


def _from_both_ends(places: list[int]) -> list[int]:
    middle = len(places) // 2
    halves = places[:middle], places[middle:][::-1]
    mixed = [place for pair in zip(*halves, strict=False) for place in pair]
    return mixed + halves[1][len(halves[0]) :]
