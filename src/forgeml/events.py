"""What a run tells whoever listens: frozen values, each an event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """A line for the person who watches: which step of the story, and what there is to say."""

    topic: str
    text: str
    warning: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a long piece of work is."""

    task: str
    done: int
    total: int
    """0 where it is not known."""
    rows: int | None = None
    """Rows done, where `done` and `total` are something else, such as bytes."""


@dataclass(frozen=True)
class StepReport:
    """One step of the optimizer."""

    step: int
    """Counted from 1."""
    total_steps: int
    epoch: float
    """Share of the training texts seen, 1.0 after the first pass."""
    loss: float
    """Mean over the step's examples."""
    learning_rate: float
    grad_norm: float
    """Before clipping."""
    examples: int
    seconds: float
    parts: int = 1
    """So many parts each batch was taken in, one after the other, as the memory did not suffice for it at once."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics on one split."""

    split: str
    examples: int
    metrics: Mapping[str, float]
    step: int | None = None
    epoch: float | None = None


@dataclass(frozen=True)
class TrainingResult:
    """What a run leaves behind."""

    folder: str
    """The saved model."""
    metrics: Mapping[str, Mapping[str, float]]
    """By split, scored with the saved folder as it was read back from disk."""
    best_step: int
    steps: int
    seconds: float
    run_id: str | None
    """MLflow run; None when tracking failed."""
    model_id: str | None = None
    """Id of the model in MLflow, as in `models:/ID`; None when it was not logged."""


Event = Note | Progress | StepReport | Evaluation | TrainingResult
