"""A trained classifier in use."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from forgeml.data.batches import SCORING_BATCH, scoring_batches
from forgeml.data.tokens import encode
from forgeml.errors import ModelError
from forgeml.model import saved
from forgeml.model.forward import predict_logits, softmax
from forgeml.model.pretrained import DEFAULT_MAX_LENGTH, position_limit
from forgeml.model.publishing import check_place
from forgeml.records import Prediction
from forgeml.runtime import choose_device, memory_errors

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Classifier:
    """A saved folder that answers. Threads may share one.

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
        self.max_length = position_limit(model.config, tokenizer) or DEFAULT_MAX_LENGTH
        """Longest text in tokens; the rest is cut off."""
        # The tokenizer keeps how it cuts and pads from call to call, and cannot change it while another thread uses it.
        # After this call there is nothing left to change.
        encode(tokenizer, [""], self.max_length)

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "auto") -> Self:
        """Open a folder that `forgeml train`, `save_pretrained` or transformers has written.

        Args:
            folder: the saved folder.
            device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.

        Raises:
            ModelError: missing, damaged, not a trained classifier, or written by a newer ForgeML.
            MachineError: the device is not there, or its memory does not suffice.
        """
        place = _path(folder)
        if not place.is_dir():
            found = "a file" if place.exists() else "no such folder"
            raise ModelError.at(str(folder), found, "give the folder of a saved model, such as best_model")
        chosen = choose_device(device)
        model, tokenizer, manifest = saved.open_saved(place, chosen)
        _check_task(place, model)
        return cls(model, tokenizer, manifest, chosen)

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Label, score and the scores of all classes for each text, in the order of the texts.

        Raises:
            TypeError: a single string instead of a list of them, or something in the list that is not text.
            MachineError: the memory does not suffice.
        """
        return [self._prediction(row) for row in softmax(self.logits(texts))]

    def logits(
        self, texts: Sequence[str] | pa.ChunkedArray, on_progress: Callable[[int], None] = lambda done: None
    ) -> NDArray[np.float32]:
        """What the model gives before softmax, in fp32; shape (texts, classes).

        Args:
            texts: strings, shape (texts,).
            on_progress: told the number of texts done so far.

        Raises:
            TypeError: a single string instead of a list of them, or something in the list that is not text.
            MachineError: the memory does not suffice.
        """
        if isinstance(texts, str):
            raise TypeError("a list of texts is wanted, found one string; write predict([text])")
        words = texts.to_pylist() if hasattr(texts, "to_pylist") else list(texts)
        for index, text in enumerate(words):
            _check_text(index, text)
        if not words:
            return np.empty((0, len(self.labels)), np.float32)
        size = min(SCORING_BATCH, len(words))
        with memory_errors(
            f"not enough memory on {self._device} for a batch of {size} texts of up to {self.max_length} tokens",
            f"free memory on {self._device}, choose another device, or give fewer than {size} texts at a time",
        ):
            encoded = encode(self._tokenizer, words, self.max_length)
            return predict_logits(self._model, scoring_batches(encoded, SCORING_BATCH), self._device, on_progress)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the classifier to another folder, whole or not at all.

        Raises:
            MachineError: the folder cannot be written, or something else stands there.
        """
        place = _path(folder)
        check_place(place)
        saved.copy_whole(place, self._model, self._tokenizer, self.max_length, self.manifest)

    def _prediction(self, row: NDArray[np.float64]) -> Prediction:
        scores = dict(zip(self.labels, row.tolist(), strict=True))
        label = self.labels[int(row.argmax())]
        return Prediction(label, scores[label], scores)


def _path(folder: str | Path) -> Path:
    # Path.expanduser raises for a user who does not exist; here `~nobody` is then a name like any other.
    return Path(os.path.expanduser(folder))


def _check_task(folder: Path, model: PreTrainedModel) -> None:
    """Refuse what softmax over named classes would get wrong without a word."""
    config = model.config
    names = list((config.id2label or {}).values())
    if config.problem_type not in (None, "single_label_classification") or len(names) < 2:
        what = f"made for {config.problem_type or 'regression'}; ForgeML picks one class of two or more"
    elif len(set(names)) < len(names):
        what = f"two classes have the same name: {', '.join(map(str, names))}"
    else:
        return
    raise ModelError.at(str(folder), what, "train a classifier with forgeml train, or mend its config.json")


def _check_text(index: int, text: object) -> None:
    if not isinstance(text, str):
        raise TypeError(f"text {index} is a {type(text).__name__}, not a string: {text!r:.60}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TypeError(f"text {index} has half a character at {error.start} (a lone surrogate)") from error
