"""Which evaluation is the best so far, and when to stop looking for a better one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from math import nan
from typing import Any

from forgeml.events import Evaluation
from forgeml.metrics import is_better


class BestSoFar:
    """Keeps the best evaluation by one metric; a tie keeps the earlier one."""

    def __init__(self, metric: str, patience: int | None) -> None:
        """Watch `metric`; `patience` is the number of evaluations in a row that may fail to improve it."""
        self.metric = metric
        self.patience = patience
        self.best: Evaluation | None = None
        self.without_improvement = 0

    def improved_by(self, evaluation: Evaluation) -> bool:
        """Take an evaluation in; whether it is the new best."""
        # A metric that is not defined on these examples is left out.
        value = evaluation.metrics.get(self.metric, nan)
        improved = self.best is None or is_better(self.metric, value, self.best.metrics.get(self.metric, nan))
        if improved:
            self.best = evaluation
        self.without_improvement = 0 if improved else self.without_improvement + 1
        return improved

    def equalled_by(self, evaluation: Evaluation) -> bool:
        """Take in the evaluation of another model of the same run; it is the best unless the one so far is better."""
        value, best = (one.metrics.get(self.metric, nan) for one in (evaluation, self.found))
        equalled = not is_better(self.metric, best, value)
        if equalled:
            self.best = evaluation
        return equalled

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it, as JSON has it."""
        return {"best": asdict(self.best) if self.best else None, "without_improvement": self.without_improvement}

    def put_back(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.best = Evaluation(**state["best"]) if state["best"] else None
        self.without_improvement = state["without_improvement"]

    @property
    def found(self) -> Evaluation:
        """The best evaluation; there is one after the first."""
        assert self.best is not None
        return self.best

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self.patience is not None and self.without_improvement >= self.patience
