"""The frozen values that are handed from room to room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Source:
    """Labelled text as it came in: one Arrow table a split, columns untouched."""

    name: str
    """As the hub or the file system calls it."""
    revision: str | None
    """Commit on the hub; None for local files."""
    tables: Mapping[str, pa.Table]
    """Rows by split."""
    class_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Names behind the integers of a column, for the columns that declare them."""
    text_column: str = "text"
    """Column that holds the text unless the configuration says otherwise."""
    label_column: str = "label"
    """Column that holds the label unless the configuration says otherwise."""
    files: Mapping[str, str] = field(default_factory=dict)
    """File that each split was read from, for messages; empty for the hub."""
    stored: str = ""
    """Folder or file in which the data lies on this machine."""
    bytes: int = 0
    """Size on disk."""
    fetched: bool = False
    """True when it came over the network just now, False when it was there already."""
    note: str = ""
    """A sentence on what the user might not expect of where it came from."""


@dataclass(frozen=True)
class Split:
    """Texts with their labels, in the order of the source."""

    name: str
    texts: pa.ChunkedArray
    """Strings, shape (rows,)."""
    labels: NDArray[np.int64]
    """Class ids, shape (rows,)."""
    rows: NDArray[np.int64]
    """Place of each text in the source split, counted from 0, shape (rows,)."""
    unlabelled: int = 0
    """Rows of the source that were left out as they have no label."""

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set under one label map."""

    train: Split
    validation: Split
    test: Split | None
    class_names: tuple[str, ...]
    """Name of each class id."""
    fingerprint: str
    """SHA-256 over the class names, texts and labels of all parts."""
    notes: tuple[str, ...] = ()
    """Sentences on what the user might not expect of the data."""

    def parts(self) -> list[Split]:
        """The parts that there are, train first."""
        return [part for part in (self.train, self.validation, self.test) if part is not None]


@dataclass(frozen=True)
class EncodedTexts:
    """Token ids of many texts end to end, not padded: text i is `ids[offsets[i]:offsets[i + 1]]`."""

    ids: NDArray[np.int32]
    """Shape (tokens,)."""
    offsets: NDArray[np.int64]
    """Shape (texts + 1,)."""
    pad_id: int
    """Token id that a batch is filled up with."""
    truncated: int
    """Number of texts that were longer than the limit and are cut."""

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, shape (texts,)."""
        lengths: NDArray[np.int64] = self.offsets[1:] - self.offsets[:-1]
        return lengths


@dataclass(frozen=True)
class Batch:
    """Some texts as padded tensors."""

    input_ids: torch.Tensor
    """int64, shape (texts, longest)."""
    attention_mask: torch.Tensor
    """1 where there is a token, 0 where there is padding; int64, shape (texts, longest)."""
    indexes: NDArray[np.int64]
    """Which texts of the encoded ones these are, shape (texts,)."""


@dataclass(frozen=True)
class Pretrained:
    """A pre-trained model's folder on this machine."""

    name: str
    commit: str | None
    """Commit on the hub; None for a local folder."""
    folder: str
    bytes: int
    fetched: bool
    note: str = ""
    """A sentence on what the user might not expect of where it came from."""


@dataclass(frozen=True)
class Runtime:
    """What the run computes on."""

    device: str
    precision: str
    """`fp32`, `bf16` or `fp16`."""
    threads: int
    notes: tuple[str, ...] = ()
    """Sentences on choices that the user might not expect."""


@dataclass(frozen=True)
class StepReport:
    """One step of the optimizer."""

    step: int
    """Counted from 1."""
    total_steps: int
    epoch: float
    """Share of the training texts seen, 1.0 after the first pass."""
    loss: float
    """Mean over the step's examples."""
    learning_rate: float
    grad_norm: float
    """Before clipping."""
    examples: int
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """Metrics on one split."""

    split: str
    examples: int
    metrics: Mapping[str, float]
    step: int | None = None
    epoch: float | None = None


@dataclass(frozen=True)
class Prediction:
    """What the classifier says of one text."""

    label: str
    score: float
    """Probability of `label`."""
    scores: Mapping[str, float]
    """Probability of every class."""


@dataclass(frozen=True)
class TrainingResult:
    """What a run leaves behind."""

    folder: str
    """The saved model."""
    metrics: Mapping[str, Mapping[str, float]]
    """By split, scored with the saved folder as it was read back from disk."""
    best_step: int
    steps: int
    seconds: float
    run_id: str | None
    """MLflow run; None when tracking failed."""
    model_id: str | None = None
    """Id of the model in MLflow, as in `models:/ID`; None when it was not logged."""


@dataclass(frozen=True)
class Note:
    """A line for the person who watches: which step of the story, and what there is to say."""

    topic: str
    text: str
    warning: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a long piece of work is."""

    task: str
    done: int
    total: int


Event = Note | Progress | StepReport | Evaluation | TrainingResult
Manifest = Mapping[str, Any]
