"""What is told of a run: records for its store, and the other lines of its journal. Each is a value, a line of JSON.

Nothing here knows MLflow, so a journal can be looked at without loading it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from forgeml.errors import ModelError
from forgeml.model.manifest import read_manifest
from forgeml.training.holder import Holder

FORMAT = 1
"""Of journals. Those of a newer one are refused."""


@dataclass(frozen=True)
class Metrics:
    """Figures of one step."""

    values: Mapping[str, float]
    step: int
    time: int
    """When they came about, in milliseconds since 1970. Sent twice with the same time, MLflow keeps them once."""

    def parts(self) -> list[Metrics]:
        """Each figure alone."""
        return [replace(self, values={name: value}) for name, value in self.values.items()]


@dataclass(frozen=True)
class Params:
    """Settings. A store does not let them change."""

    values: Mapping[str, str]

    def parts(self) -> list[Params]:
        """Each setting alone."""
        return [Params({name: value}) for name, value in self.values.items()]


@dataclass(frozen=True)
class Tags:
    """What was found; the last value counts."""

    values: Mapping[str, str]

    def parts(self) -> list[Tags]:
        """Each tag alone."""
        return [Tags({name: value}) for name, value in self.values.items()]


@dataclass(frozen=True)
class Data:
    """The data set of the run."""

    name: str
    digest: str
    rows: Mapping[str, int]
    """In each split."""

    def parts(self) -> list[Data]:
        """It cannot be taken apart."""
        return [self]


Record = Metrics | Params | Tags | Data
"""What a store takes."""


@dataclass(frozen=True)
class Start:
    """A process begins to tell of a run, or goes on with it."""

    key: str
    """Marks the run in its store, where it is found by it even if its id never arrived."""
    store: str
    """MLflow's address."""
    experiment: str
    run_name: str
    time: int
    """When the run began, in milliseconds since 1970."""
    tags: Mapping[str, str]
    """That the run is made with."""
    owner: Holder
    format: int = FORMAT


@dataclass(frozen=True)
class Opened:
    """The run is in the store."""

    run_id: str


@dataclass(frozen=True)
class Model:
    """The saved model is to go to the store."""

    folder: str
    fingerprint: str
    """Of its weights, by which another model in the same place is known."""
    requirements: tuple[str, ...]
    """Packages that it needs, with versions."""
    pairs: bool
    """Whether it takes pairs of texts."""

    @classmethod
    def of(cls, folder: Path, requirements: Iterable[str], pairs: bool) -> Self:
        """The model that lies in a folder now."""
        return cls(str(folder.absolute()), _fingerprint(folder), tuple(requirements), pairs)

    def is_there(self) -> bool:
        """Whether it still lies in its folder, and no other one."""
        folder = Path(self.folder)
        return folder.is_dir() and _fingerprint(folder) == self.fingerprint


@dataclass(frozen=True)
class Uploaded:
    """The saved model is in the store."""

    model_id: str


@dataclass(frozen=True)
class Ended:
    """The run has ended."""

    status: str
    """In MLflow's words: FINISHED, FAILED or KILLED."""
    time: int
    """In milliseconds since 1970."""


@dataclass(frozen=True)
class Whole:
    """All that stands above is in the store."""


Line = Record | Start | Opened | Model | Uploaded | Ended | Whole

_KINDS: Mapping[str, type[Line]] = {
    "metrics": Metrics,
    "params": Params,
    "tags": Tags,
    "data": Data,
    "start": Start,
    "opened": Opened,
    "model": Model,
    "uploaded": Uploaded,
    "ended": Ended,
    "whole": Whole,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def encode(line: Line) -> bytes:
    """A line of a journal, with its end. Numbers are read back as they were, to the last bit."""
    return json.dumps({"line": _NAMES[type(line)], **vars(line)}, default=vars).encode() + b"\n"


def decode(text: bytes) -> Line:
    """The other way round.

    Raises:
        ValueError: it is no line of a journal.
    """
    try:
        found: dict[str, Any] = json.loads(text)
        kind = _KINDS[found.pop("line")]
        if kind is Start:
            # A newer format, which is refused later by its number, may have more.
            found = {name: found[name] for name in (one.name for one in fields(Start))}
            found["owner"] = Holder(**found["owner"])
        if kind is Model:
            found["requirements"] = tuple(found["requirements"])
        return kind(**found)
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no line of a journal: {text[:80]!r}") from error


def _fingerprint(folder: Path) -> str:
    """Of the weights as the manifest lists them; the manifest itself changes when faster engines are added."""
    try:
        files = read_manifest(folder).get("files", {})
    except ModelError:
        return ""
    weights = sorted((name, found) for name, found in files.items() if name.endswith(".safetensors"))
    return hashlib.sha256(json.dumps(weights).encode()).hexdigest() if weights else ""
