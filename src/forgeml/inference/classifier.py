"""A trained classifier in use."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from forgeml.data.batches import SCORING_BATCH, scoring_batches
from forgeml.data.texts import from_lists
from forgeml.data.tokens.encoding import encode
from forgeml.errors import ModelError
from forgeml.model import saved
from forgeml.model.forward import predict_logits, sigmoid, softmax
from forgeml.model.pretrained import DEFAULT_MAX_LENGTH, PROBLEM_TYPES, position_limit
from forgeml.model.publishing import check_place
from forgeml.records import DEFAULT_THRESHOLD, Cut, Prediction, Task, Texts
from forgeml.runtime import choose_device, memory_errors

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

PROBABILITIES = {"single_label": softmax, "multi_label": sigmoid}
"""From logits to the probability of each class."""


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
        self.task = _task(model.config)
        self.pairs: bool | None = bool(manifest["data"].get("text_pair_column")) if manifest else None
        """Whether it was trained on pairs of texts; None where the folder does not tell."""
        self.labels: tuple[str, ...] = tuple(name for _, name in sorted((model.config.id2label or {}).items()))
        """Class names in the order of the scores; for regression the one name of the number."""
        thresholds = manifest.get("thresholds", {})
        self.thresholds = np.array([thresholds.get(name, DEFAULT_THRESHOLD) for name in self.labels])
        """Multi-label: the probability from which on a class is said, shape (classes,)."""
        self.cut = Cut(
            position_limit(model.config, tokenizer) or DEFAULT_MAX_LENGTH,
            manifest.get("config", {}).get("model", {}).get("long_texts", "truncate"),
        )
        """What is read of a long text."""

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
        _check_labels(place, model)
        return cls(model, tokenizer, manifest, chosen)

    def predict(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> list[Prediction]:
        """What the task asks for, for each text, in the order of the texts.

        Single-label: label, score and the scores of all classes. Multi-label: the classes that reach their thresholds,
        and the scores of all. Regression: the value.

        Args:
            texts: strings, shape (texts,).
            text_pairs: the second texts, for a classifier of pairs.

        Raises:
            TypeError: a single string instead of a list of them, or something in the list that is not text.
            ValueError: fewer or more second texts than first ones, or pairs where the model wants single texts.
            MachineError: the memory does not suffice.
        """
        firsts, seconds = _checked(texts, text_pairs)
        if firsts and self.pairs not in (None, seconds is not None):
            raise ValueError(f"this model was trained on {'pairs of texts' if self.pairs else 'single texts'}")
        logits = self.logits(from_lists(firsts, seconds))
        if self.task == "regression":
            return [Prediction(value=value) for value in logits[:, 0].astype(float).tolist()]
        tell = self._several if self.task == "multi_label" else self._one
        return [tell(row) for row in PROBABILITIES[self.task](logits)]

    def logits(self, texts: Texts, on_progress: Callable[[int], None] = lambda done: None) -> NDArray[np.float32]:
        """What the model gives before it becomes probabilities, in fp32; shape (texts, outputs).

        Args:
            texts: to be read.
            on_progress: told the number of texts done so far.

        Raises:
            MachineError: the memory does not suffice.
        """
        if not len(texts):
            return np.empty((0, len(self.labels)), np.float32)
        size = min(SCORING_BATCH, len(texts))
        with memory_errors(
            f"not enough memory on {self._device} for a batch of {size} texts of up to {self.cut.max_length} tokens",
            f"free memory on {self._device}, choose another device, or give fewer than {size} texts at a time",
        ):
            encoded = encode(self._tokenizer, texts, self.cut)
            return predict_logits(self._model, scoring_batches(encoded, SCORING_BATCH), self._device, on_progress)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the classifier to another folder, whole or not at all.

        Raises:
            MachineError: the folder cannot be written, or something else stands there.
        """
        place = _path(folder)
        check_place(place)
        whole = saved.Classifying(self._model, self._tokenizer, self.cut.max_length)
        saved.copy_whole(place, whole, self.manifest)

    def _one(self, row: NDArray[np.float64]) -> Prediction:
        scores = dict(zip(self.labels, row.tolist(), strict=True))
        label = self.labels[int(row.argmax())]
        return Prediction(label, scores[label], scores)

    def _several(self, row: NDArray[np.float64]) -> Prediction:
        said = [place for place in np.argsort(-row, kind="stable") if row[place] >= self.thresholds[place]]
        scores = dict(zip(self.labels, row.tolist(), strict=True))
        return Prediction(scores=scores, labels=tuple(self.labels[place] for place in said))


def _path(folder: str | Path) -> Path:
    # Path.expanduser raises for a user who does not exist; here `~nobody` is then a name like any other.
    return Path(os.path.expanduser(folder))


def _task(config: PretrainedConfig) -> Task:
    """The task by what transformers calls it; a model that does not say tells one class of several, or a number."""
    named = {problem_type: task for task, problem_type in PROBLEM_TYPES.items()}
    return named.get(config.problem_type or "") or ("regression" if config.num_labels == 1 else "single_label")


def _check_labels(folder: Path, model: PreTrainedModel) -> None:
    """Refuse outputs whose names would mislead."""
    names, task = list((model.config.id2label or {}).values()), _task(model.config)
    if task == "regression" and len(names) != 1:
        what = f"a regression with {len(names)} numbers; ForgeML tells one"
    elif task == "single_label" and len(names) < 2:
        what = "a single class, which leaves nothing to choose from"
    elif len(set(names)) < len(names):
        what = f"two classes have the same name: {', '.join(map(str, names))}"
    else:
        return
    raise ModelError.at(str(folder), what, "train a classifier with forgeml train, or mend its config.json")


def _checked(texts: Sequence[str], pairs: Sequence[str] | None) -> tuple[list[str], list[str] | None]:
    for many in (texts, pairs):
        if isinstance(many, str):
            raise TypeError("a list of texts is wanted, found one string; write predict([text])")
    firsts, seconds = list(texts), None if pairs is None else list(pairs)
    if seconds is not None and len(seconds) != len(firsts):
        raise ValueError(f"{len(firsts)} texts and {len(seconds)} second texts; there is to be one for each")
    for index, text in enumerate([*firsts, *(seconds or ())]):
        _check_text(index % max(1, len(firsts)), text)
    return firsts, seconds


def _check_text(index: int, text: object) -> None:
    if not isinstance(text, str):
        raise TypeError(f"text {index} is a {type(text).__name__}, not a string: {text!r:.60}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TypeError(f"text {index} has half a character at {error.start} (a lone surrogate)") from error
