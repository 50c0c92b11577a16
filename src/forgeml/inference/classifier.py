"""A trained classifier in use."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from forgeml.batch import Batch
from forgeml.data.batches import SCORING_BATCH, scoring_batches
from forgeml.data.tokens.encoding import Encoder
from forgeml.errors import ModelError
from forgeml.inference.engines import Engine, choose, open_engine
from forgeml.inference.explaining.asking import explain_answer
from forgeml.inference.explaining.explanation import Explanation
from forgeml.machine import memory_errors
from forgeml.model.logits import Logits, collect, sigmoid, softmax
from forgeml.model.manifest import read_manifest
from forgeml.model.publishing import check_place
from forgeml.records import DEFAULT_THRESHOLD, ListedTexts, Prediction, Texts

PROBABILITIES = {"single_label": softmax, "multi_label": sigmoid}
"""From logits to the probability of each class."""

STREAMED_AT_ONCE = 1024
"""Texts of a stream that are sorted by length together: enough for batches of like lengths, and soon answered."""


class Classifier:
    """A saved folder that answers. Threads may share one.

    Example:
        >>> classifier = Classifier.from_pretrained("best_model")
        >>> classifier.predict(["A warm, funny film."])[0].label
        'positive'
    """

    def __init__(self, engine: Engine, manifest: dict[str, Any], note: str = "") -> None:
        """Hold the parts, all of them ready-made; `from_pretrained` is the usual way."""
        self._engine = engine
        self.manifest = manifest
        """`forgeml.json`; empty for a folder that something else has saved."""
        self.engine = engine.name
        """What runs the model, such as `torch-fp32` or `onnx-int8`."""
        self.note = note
        """Why it is not the engine that was measured to be the best; empty if it is."""
        self.device = engine.device
        """What it computes on."""
        self.task = engine.task
        self.pairs: bool | None = bool(manifest["data"].get("text_pair_column")) if manifest else None
        """Whether it was trained on pairs of texts; None where the folder does not tell."""
        self.labels = engine.labels
        """Class names in the order of the scores; for regression the one name of the number."""
        thresholds = manifest.get("thresholds", {})
        self.thresholds = np.array([thresholds.get(name, DEFAULT_THRESHOLD) for name in self.labels])
        """Multi-label: the probability from which on a class is said, shape (classes,)."""
        self.cut = engine.cut
        """What is read of a long text."""
        self.reads_start = engine.tokenizer.truncation_side != "left"
        """Whether it is the start of a long text that is read, rather than its end."""

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "auto", engine: str = "auto") -> Self:
        """Open a folder that `forgeml train`, `save_pretrained` or transformers has written.

        Args:
            folder: the saved folder.
            device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
            engine: `auto` takes the one that `forgeml optimize` has found on a machine like this, or else torch in
                fp32; or its name, such as `onnx-int8`.

        Raises:
            ConfigError: there is no engine of that name.
            ModelError: missing, damaged, not a trained classifier, or written by a newer ForgeML.
            MachineError: the device or the engine is not there, or the memory does not suffice.
        """
        place = _path(folder)
        if not place.is_dir():
            found = "a file" if place.exists() else "no such folder"
            raise ModelError.at(str(folder), found, "give the folder of a saved model, such as best_model")
        manifest = read_manifest(place)
        choice = choose(manifest, engine, device)
        return cls(open_engine(place, choice.name, manifest, device), manifest, choice.note)

    def predict(
        self,
        texts: Sequence[str],
        text_pairs: Sequence[str] | None = None,
        on_progress: Callable[[int], None] = lambda done: None,
    ) -> list[Prediction]:
        """What the task asks for, for each text, in the order of the texts.

        Single-label: label, score and the scores of all classes. Multi-label: the classes that reach their thresholds,
        and the scores of all. Regression: the value.

        Args:
            texts: strings, shape (texts,).
            text_pairs: the second texts, for a classifier of pairs.
            on_progress: told the number of texts done so far.

        Raises:
            TypeError: a single string instead of a list of them, or something in the list that is not text.
            ValueError: fewer or more second texts than first ones, or pairs where the model wants single texts.
            MachineError: the memory does not suffice.
        """
        firsts, seconds = _checked(texts, text_pairs)
        if firsts and self.pairs not in (None, seconds is not None):
            raise ValueError(f"this model was trained on {'pairs of texts' if self.pairs else 'single texts'}")
        return self.answers(self.logits(ListedTexts(firsts, seconds), on_progress))

    def stream(self, texts: Iterable[str], text_pairs: Iterable[str] | None = None) -> Iterator[Prediction]:
        """What `predict` gives, for texts that come one after the other and need not all be in memory.

        Answers come in the order of the texts, some behind them: texts of like length are read together.

        Args:
            texts: strings, any number of them.
            text_pairs: the second texts, for a classifier of pairs.

        Raises:
            TypeError: a single string instead of many, or something that is not text.
            ValueError: fewer or more second texts than first ones, or pairs where the model wants single texts.
            MachineError: the memory does not suffice.
        """
        if isinstance(texts, str) or isinstance(text_pairs, str):
            raise TypeError("many texts are wanted, found one string; write stream([text])")
        firsts, seconds = iter(texts), None if text_pairs is None else iter(text_pairs)
        while True:
            some = list(islice(firsts, STREAMED_AT_ONCE))
            # One more at the end shows that there are more second texts than first ones.
            others = None if seconds is None else list(islice(seconds, len(some) or 1))
            if not some and not others:
                return
            yield from self.predict(some, others)

    def explain(
        self,
        text: str,
        text_pair: str | None = None,
        label: str | None = None,
        on_progress: Callable[[int], None] = lambda done: None,
    ) -> Explanation:
        """Which words the answer rests on, from the answers to changed texts; the same each time.

        Args:
            text: the text.
            text_pair: the second text, for a classifier of pairs.
            label: what is explained; left out: the class of the highest score, for multi-label too.
            on_progress: told now and then; what it raises ends the work.

        Raises:
            TypeError: something is not text.
            ValueError: a pair where the model wants single texts or the reverse, or no such label.
            MachineError: the memory does not suffice.
        """
        return explain_answer(self, self._engine.tokenizer, (text, text_pair), label, on_progress)

    def logits(self, texts: Texts, on_progress: Callable[[int], None] = lambda done: None) -> Logits:
        """What the model gives before it becomes probabilities, in fp32; shape (texts, outputs).

        Args:
            texts: to be read.
            on_progress: told the number of texts done so far.

        Raises:
            MachineError: the memory does not suffice.
        """
        if not len(texts):
            return np.empty((0, len(self.labels)), np.float32)
        size, device = min(SCORING_BATCH, len(texts)), self._engine.device
        with memory_errors(
            f"not enough memory on {device} for a batch of {size} texts of up to {self.cut.max_length} tokens",
            f"free memory on {device}, choose another device, or give fewer than {size} texts at a time",
        ):
            encoded = self.encoder(texts.pairs).encode(texts)
            return collect(self.forward, scoring_batches(encoded, SCORING_BATCH), on_progress)

    def encoder(self, pairs: bool) -> Encoder:
        """What makes token ids of texts, or of pairs of them, as the model reads them.

        Raises:
            ModelError: the tokenizer does not set the same special tokens around all texts.
        """
        return Encoder.of(self._engine.tokenizer, self.cut, pairs)

    def forward(self, batch: Batch) -> Logits:
        """Logits in fp32 of the texts of one batch, shape (texts, outputs)."""
        return self._engine.forward(batch)

    def answers(self, logits: Logits) -> list[Prediction]:
        """What the task makes of logits of shape (texts, outputs)."""
        if self.task == "regression":
            return [Prediction(value=value) for value in logits[:, 0].astype(float).tolist()]
        tell = self._several if self.task == "multi_label" else self._one
        return [tell(row) for row in PROBABILITIES[self.task](logits)]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the classifier to another folder, whole or not at all.

        Raises:
            ModelError: files that are not held in memory are gone or have changed.
            MachineError: the folder cannot be written, or something else stands there.
        """
        place = _path(folder)
        check_place(place)
        self._engine.save(place, self.manifest)

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
