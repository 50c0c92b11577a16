"""The frozen values that are handed from room to room."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Labels = NDArray[Any]
    """Class ids of 64 bits; for multi-label 0 or 1 in 8 bits for each class; for regression numbers of 32 bits."""

JOINT = "\n"
"""Between the columns that make up one text."""

DEFAULT_THRESHOLD = 0.5
"""Probability from which on a class of a multi-label model is said, where no better one is known."""

Task = Literal["single_label", "multi_label", "regression"]


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
    text_column: str | None = None
    """Column that holds the text, where the data set is known for it."""
    label_column: str | None = None
    """Column that holds the label, where the data set is known for it."""
    files: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Files that each split was read from; empty for the hub."""
    locate: Callable[[str, int], str] = "{} row {}".format
    """Place of a row, counted from 0, of a split, for messages: `reviews.csv:12 (row 10)`."""
    stored: str = ""
    """Folder or file in which the data lies on this machine."""
    bytes: int = 0
    """Size on disk."""
    fetched: bool = False
    """True when it came over the network just now, False when it was there already."""
    notes: tuple[str, ...] = ()
    """Sentences on what the user might not expect of where it came from and how it was read."""


@dataclass(frozen=True)
class ListedTexts:
    """Texts, or pairs of them, that are strings already."""

    firsts: Sequence[str]
    seconds: Sequence[str] | None = None
    """The second texts of pairs, as many as the first ones."""

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.firsts)

    @property
    def pairs(self) -> bool:
        """Whether there are second texts."""
        return self.seconds is not None


@dataclass(frozen=True)
class ColumnTexts:
    """Texts, or pairs of them, as rows of Arrow columns that stay where they are until they are read."""

    columns: tuple[pa.ChunkedArray, ...]
    """Strings, shape (rows of the split,) each; several are joined by line breaks."""
    pair_column: pa.ChunkedArray | None
    """The second texts of pairs, shape (rows of the split,)."""
    rows: NDArray[np.int64]
    """Which rows of the columns, ascending, shape (texts,)."""

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.rows)

    @property
    def pairs(self) -> bool:
        """Whether there are second texts."""
        return self.pair_column is not None


Texts = ListedTexts | ColumnTexts
"""What can be encoded."""


@dataclass(frozen=True)
class Cut:
    """What is read of a text that is longer than the model reads."""

    max_length: int
    """Tokens, special ones counted."""
    long_texts: str = "truncate"
    """`truncate`, `head_tail` or `windows`."""


@dataclass(frozen=True)
class Split:
    """Texts with their labels, in the order of the source."""

    name: str
    texts: ColumnTexts
    labels: Labels
    """Shape (rows,) or, for multi-label, (rows, classes)."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Rows of the source that are not used, by the reason in words."""

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.labels)

    @property
    def rows(self) -> NDArray[np.int64]:
        """Place of each text in the source split, counted from 0, shape (rows,)."""
        return self.texts.rows


@dataclass(frozen=True)
class Leak:
    """Texts of a part that also stand in train."""

    split: str
    count: int
    rows: int
    """Of the part."""
    samples: tuple[str, ...]
    """The first of them, shortened."""


@dataclass(frozen=True)
class Duplicates:
    """Texts that stand more than once, letter case and white space aside."""

    repeated: Mapping[str, int]
    """Texts that stand further up in the same part already, by part."""
    leaks: tuple[Leak, ...]
    """For each part but train."""
    conflicting: int
    """Different texts of train that stand there with different labels."""
    conflicting_samples: tuple[str, ...]
    empty: Mapping[str, int]
    """Texts that hold nothing to be seen, by part."""


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set under one task and one label map."""

    train: Split
    validation: Split
    test: Split | None
    task: Task
    class_names: tuple[str, ...]
    """Name of each class id; for regression the one name of the number."""
    columns: Mapping[str, Any]
    """`text_column`, `text_pair_column`, `label_column` and `label_separator` as they were chosen."""
    fingerprints: Mapping[str, str]
    """SHA-256 over the texts of each part."""
    fingerprint: str
    """SHA-256 over the task, the class names, and texts and labels of all parts."""
    duplicates: Duplicates
    unseen: NDArray[np.bool_] | None
    """Which texts of test do not stand in train, shape (texts,); None without a test part, or if all do not."""
    rare: tuple[str, ...] = ()
    """Labels that are left out as too rare."""
    notes: tuple[str, ...] = ()
    """Sentences on what the user might not expect of the data."""

    def parts(self) -> list[Split]:
        """The parts that there are, train first."""
        return [part for part in (self.train, self.validation, self.test) if part is not None]


@dataclass(frozen=True)
class EncodedTexts:
    """Token ids of many texts end to end, not padded. A text is one piece, or several if it is read in windows."""

    ids: NDArray[np.int32]
    """Piece p is `ids[offsets[p]:offsets[p + 1]]`; shape (tokens,)."""
    offsets: NDArray[np.int64]
    """Shape (pieces + 1,)."""
    pad_id: int
    """Token id that a batch is filled up with."""
    lost: NDArray[np.bool_]
    """Of which texts something is not read, as they are longer than the limit; shape (texts,)."""
    types: NDArray[np.uint8] | None = None
    """Token type of each token where a model tells them apart, as for pairs; shape (tokens,)."""
    bounds: NDArray[np.int64] | None = None
    """Text i is the pieces from `bounds[i]` to `bounds[i + 1]`; shape (texts + 1,). None: every text is one piece."""

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.bounds if self.bounds is not None else self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, all its pieces together, shape (texts,)."""
        starts = self.offsets if self.bounds is None else self.offsets[self.bounds]
        lengths: NDArray[np.int64] = starts[1:] - starts[:-1]
        return lengths

    @property
    def truncated(self) -> int:
        """Number of texts of which something is not read."""
        return int(self.lost.sum())


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
    hub_away: bool = False
    """Whether the hub was asked for it in vain, so that there is no use in asking for the data."""


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
class Prediction:
    """What the classifier says of one text. Which fields are filled depends on the task."""

    label: str | None = None
    """Single-label: the class."""
    score: float | None = None
    """Single-label: probability of `label`."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Probability of every class."""
    labels: tuple[str, ...] | None = None
    """Multi-label: the classes whose probability reaches their threshold, the most probable first."""
    value: float | None = None
    """Regression: the number."""

    def as_dict(self) -> dict[str, Any]:
        """What is filled, as it is written in JSON."""
        if self.value is not None:
            return {"value": self.value}
        if self.labels is not None:
            return {"labels": list(self.labels), "scores": dict(self.scores)}
        return {"label": self.label, "score": self.score, "scores": dict(self.scores)}


Manifest = Mapping[str, Any]
