"""What all formats have in common: texts that are asked about, and what the model says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from forgeml.model.logits import Logits
from forgeml.records import ListedTexts, Prediction, Task


@dataclass(frozen=True)
class Facts:
    """What a format needs to know of the model that answers."""

    name: str
    """As it is called in addresses: the name of the folder."""
    version: str
    """Twelve hex digits that change with every change of the model."""
    task: Task
    labels: tuple[str, ...]
    """Class names in the order of the outputs; for regression the one name of the number."""
    pairs: bool | None
    """Whether it reads pairs of texts; None where the folder does not tell."""


@dataclass(frozen=True)
class Answers:
    """What one model says of all the texts of one request."""

    predictions: Sequence[Prediction]
    """Of each text, in the order of the texts."""
    logits: Logits
    """Before they became probabilities, in fp32, shape (texts, outputs)."""
    truncated: Sequence[bool]
    """Whether something of the text was not read, for each text."""
    facts: Facts


@dataclass(frozen=True)
class Asked:
    """A request as its format has understood it."""

    texts: ListedTexts
    """One or more."""
    render: Callable[[Answers], Any]
    """The body of the response, of what JSON can hold."""
