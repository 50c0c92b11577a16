"""A trained classifier in use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from forgeml.data.batches import SCORING_BATCH, scoring_batches
from forgeml.data.tokens import encode
from forgeml.errors import ModelError
from forgeml.metrics import softmax
from forgeml.model import saved
from forgeml.model.forward import predict_logits
from forgeml.model.pretrained import DEFAULT_MAX_LENGTH
from forgeml.records import Prediction
from forgeml.runtime import choose_device


class Classifier:
    """A saved folder that answers.

    Example:
        >>> classifier = Classifier.from_pretrained("best_model")
        >>> classifier.predict(["A warm, funny film."])[0].label
        'positive'
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, manifest: dict[str, Any], device: str
    ) -> None:
        """Hold the parts, all of them ready-made; `from_pretrained` is the usual way."""
        self._model = model
        self._tokenizer = tokenizer
        self._device = device
        self.manifest = manifest
        """`forgeml.json`; empty for a folder that something else has saved."""
        self.labels: tuple[str, ...] = tuple(name for _, name in sorted((model.config.id2label or {}).items()))
        """Class names in the order of the scores."""
        self.max_length = min(tokenizer.model_max_length, _trained_length(manifest))
        """Longest text in tokens; the rest is cut off."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "auto") -> Self:
        """Open a folder that `forgeml train`, `save_pretrained` or transformers has written.

        Args:
            folder: the saved folder.
            device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.

        Raises:
            ModelError: missing, damaged, not a trained classifier, or written by a newer ForgeML.
            MachineError: the device is not there.
        """
        place = Path(folder).expanduser()
        if not place.is_dir():
            raise ModelError.at(str(folder), "no such folder", "give the folder of a saved model, such as best_model")
        chosen = choose_device(device)
        model, tokenizer, manifest = saved.open_saved(place, chosen)
        return cls(model, tokenizer, manifest, chosen)

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Label, score and the scores of all classes for each text, in the order of the texts.

        Raises:
            TypeError: a single string instead of a list of them.
        """
        scores = softmax(self.logits(texts))
        return [self._prediction(row) for row in scores]

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What the model gives before softmax, in fp32; shape (texts, classes).

        Raises:
            TypeError: a single string instead of a list of them.
        """
        if isinstance(texts, str):
            raise TypeError("a list of texts is wanted, found one string; write predict([text])")
        if not len(texts):
            return np.empty((0, len(self.labels)), np.float32)
        encoded = encode(self._tokenizer, texts, self.max_length)
        return predict_logits(self._model, scoring_batches(encoded, SCORING_BATCH), self._device)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the classifier to another folder, whole or not at all.

        Raises:
            MachineError: the folder cannot be written, or something else stands there.
        """
        place = Path(folder).expanduser()
        saved.check_place(place)
        saved.copy_whole(place, self._model, self._tokenizer, self.max_length, self.manifest)

    def _prediction(self, row: NDArray[np.float64]) -> Prediction:
        scores = dict(zip(self.labels, row.tolist(), strict=True))
        label = self.labels[int(row.argmax())]
        return Prediction(label, scores[label], scores)


def _trained_length(manifest: dict[str, Any]) -> int:
    if not manifest:
        return DEFAULT_MAX_LENGTH * 2
    return int(manifest["config"]["model"]["max_length"])
