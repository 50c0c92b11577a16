"""How MLflow opens a logged model: by this module's code, without a pickle. MLflow looks for `_load_pyfunc`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forgeml.inference.classifier import Classifier

if TYPE_CHECKING:
    import pandas as pd


class ServedClassifier:
    """A classifier behind MLflow's `predict(model_input)`."""

    def __init__(self, classifier: Classifier) -> None:
        """Serve this classifier."""
        self._classifier = classifier

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """`label`, `score` and `scores` for each row's `text`."""
        texts = model_input["text"].astype(str).tolist()
        return [
            {"label": answer.label, "score": answer.score, "scores": dict(answer.scores)}
            for answer in self._classifier.predict(texts)
        ]


def _load_pyfunc(data_path: str) -> ServedClassifier:
    return ServedClassifier(Classifier.from_pretrained(data_path))
