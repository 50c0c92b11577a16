"""How MLflow opens a logged model: by this module's code, without a pickle. MLflow looks for `_load_pyfunc`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from forgeml.inference.classifier import Classifier

if TYPE_CHECKING:
    import pandas as pd

    Served: TypeAlias = pd.DataFrame | Mapping[str, Any] | Sequence[Any]

TEXT = "text"
"""Column that holds the texts."""


class ServedClassifier:
    """A classifier behind MLflow's `predict(model_input)`."""

    def __init__(self, classifier: Classifier) -> None:
        """Serve this classifier."""
        self._classifier = classifier

    def predict(self, model_input: Served, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """`label`, `score` and `scores` for each text.

        Args:
            model_input: a DataFrame or a mapping with `text`, one text, or a list of texts or of rows with `text`.
            params: not used; MLflow passes it.

        Raises:
            KeyError: no `text`.
            TypeError: something that is not text.
        """
        return [
            {"label": answer.label, "score": answer.score, "scores": dict(answer.scores)}
            for answer in self._classifier.predict(_texts(model_input))
        ]


def _texts(model_input: Served) -> list[Any]:
    """The texts of all forms in which MLflow hands them over; the classifier checks that they are strings."""
    if isinstance(model_input, str):
        return [model_input]
    if isinstance(model_input, Mapping) or hasattr(model_input, "columns"):
        return _texts(_column(model_input))
    return [_column(row) if isinstance(row, Mapping) else row for row in model_input]


def _column(table: pd.DataFrame | Mapping[str, Any]) -> Any:  # noqa: ANN401 a column of any kind, or one text
    if TEXT not in table:
        raise KeyError(f"no {TEXT!r}; found {', '.join(map(str, table))}")
    return table[TEXT]


def _load_pyfunc(data_path: str) -> ServedClassifier:
    return ServedClassifier(Classifier.from_pretrained(data_path))
