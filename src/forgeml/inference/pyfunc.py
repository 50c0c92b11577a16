"""How MLflow opens a logged model: by this module's code, without a pickle. MLflow looks for `_load_pyfunc`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from forgeml.inference.classifier import Classifier

if TYPE_CHECKING:
    import pandas as pd

    Served: TypeAlias = pd.DataFrame | Mapping[str, Any] | Sequence[Any]

TEXT, PAIR = "text", "text_pair"
"""Columns that hold the texts and, for pairs, the second texts."""


class ServedClassifier:
    """A classifier behind MLflow's `predict(model_input)`."""

    def __init__(self, classifier: Classifier) -> None:
        """Serve this classifier."""
        self._classifier = classifier

    def predict(self, model_input: Served, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """`label`, `score` and `scores` for each text, or what else the task asks for.

        Args:
            model_input: a DataFrame or a mapping with `text`, one text, or a list of texts or of rows with `text`;
                for pairs each with `text_pair` as well.
            params: not used; MLflow passes it.

        Raises:
            KeyError: no `text`.
            TypeError: something that is not text.
        """
        texts, pairs = _texts(model_input)
        return [answer.as_dict() for answer in self._classifier.predict(texts, pairs)]


def _texts(model_input: Served) -> tuple[list[Any], list[Any] | None]:
    """The texts, and second ones, of all forms in which MLflow hands them over; the classifier checks them."""
    if isinstance(model_input, str):
        return [model_input], None
    if isinstance(model_input, Mapping) or hasattr(model_input, "columns"):
        table: Any = model_input
        if TEXT not in table:
            raise KeyError(f"no {TEXT!r}; found {', '.join(map(str, table))}")
        return _many(table[TEXT]), _many(table[PAIR]) if PAIR in table else None
    rows = list(model_input)
    if not any(isinstance(row, Mapping) for row in rows):
        return rows, None
    together = [_texts(row) if isinstance(row, Mapping) else ([row], None) for row in rows]
    pairs = [second for _, seconds in together for second in seconds or ()]
    return [first for firsts, _ in together for first in firsts], pairs or None


def _many(column: Any) -> list[Any]:  # noqa: ANN401 a column of any kind, or one text
    return [column] if isinstance(column, str) else list(column)


def _load_pyfunc(data_path: str) -> ServedClassifier:
    return ServedClassifier(Classifier.from_pretrained(data_path))
