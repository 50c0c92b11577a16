"""Which columns hold the texts, and which ones are added."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from forgeml.data.names import PAIR_NAMES, TEXT_NAMES, usual_names, usual_pair
from forgeml.data.reading.decoding import CONTROL
from forgeml.errors import ConfigError, DataError, nearest
from forgeml.inference.files.chunks import Chunk
from forgeml.records import JOINT, Prediction, Task

DECIMALS = 7
"""Of probabilities. More would differ from machine to machine."""
MOST_SHOWN = 20
UNREAD = re.compile(CONTROL)

KINDS = {"label": "text", "labels": "texts", "score": "number", "value": "number"}
"""What the added columns hold."""


@dataclass(frozen=True)
class Scorer:
    """What has to be known of a classifier whose answers go into a file."""

    task: Task
    labels: tuple[str, ...]
    """Class names in the order of the scores."""
    identity: str
    """Another one whenever the answers could be others."""
    pairs: bool | None = None
    """Whether it was trained on pairs of texts; None if that is not known."""
    text_columns: tuple[str, ...] = ()
    """As in training; empty if that is not known."""
    pair_column: str | None = None
    label_separator: str | None = None
    """What stood between several labels in the files of training."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for, of columns."""

    text_columns: tuple[str, ...] = ()
    """Empty: as in training, or those with a usual name."""
    pair_column: str | None = None
    scores: bool = False
    """Whether every class gets a column."""
    suffix: str = ""
    """Behind the name of each added column."""


@dataclass(frozen=True)
class TextColumns:
    """The columns that are read."""

    first: tuple[str, ...]
    """Several are joined by line breaks."""
    second: str | None = None
    note: str = ""
    """What has to be told: that these are not the columns of training."""

    def texts(self, chunk: Chunk) -> tuple[list[str], list[str] | None, int]:
        """First texts, second ones of pairs, and the number of rows in which a text is missing or blank.

        Raises:
            DataError: a value that is no text, with its row.
        """
        columns = [_texts(chunk, name) for name in self.first]
        firsts = columns[0] if len(columns) == 1 else [JOINT.join(parts) for parts in zip(*columns, strict=True)]
        seconds = None if self.second is None else _texts(chunk, self.second)
        blank = [not text.strip() for text in firsts]
        if seconds is not None:
            blank = [first or not text.strip() for first, text in zip(blank, seconds, strict=True)]
        return firsts, seconds, sum(blank)


@dataclass(frozen=True)
class Added:
    """The columns that are put behind those of the input."""

    task: Task
    classes: tuple[str, ...]
    """Those that get a column for their score."""
    suffix: str = ""

    @property
    def kinds(self) -> dict[str, str]:
        """Name and kind, `text`, `texts` or `number`, of each."""
        plain = {"single_label": ("label", "score"), "multi_label": ("labels",), "regression": ("value",)}[self.task]
        kinds = {f"{name}{self.suffix}": KINDS[name] for name in plain}
        return kinds | {f"score_{name}{self.suffix}": "number" for name in self.classes}

    def values(self, predictions: Sequence[Prediction]) -> dict[str, list[Any]]:
        """The values of each column, a row for each prediction."""
        scores = [[round(one.scores[name], DECIMALS) for one in predictions] for name in self.classes]
        plain: list[list[Any]]
        if self.task == "regression":
            # Numbers of 32 bits have so many digits; there is no telling how large or small they are.
            plain = [[float(f"{one.value:.7g}") for one in predictions]]
        elif self.task == "multi_label":
            plain = [[list(one.labels or ()) for one in predictions]]
        else:
            plain = [[one.label for one in predictions], [round(one.score or 0.0, DECIMALS) for one in predictions]]
        return dict(zip(self.kinds, [*plain, *scores], strict=True))

    def check(self, chunk: Chunk, where: str) -> None:
        """Refuse rows that have a column of the same name already.

        Raises:
            DataError: with all of those columns.
        """
        # A chunk of JSON goes through all of its rows for the names.
        names = set(chunk.names)
        both = [name for name in self.kinds if name in names]
        if both:
            have = "has a column" if len(both) == 1 else "has columns"
            what = f"{have} {_listed(both)} already, and nothing of the input is overwritten"
            raise DataError.at(where, what, "add --suffix _predicted, which goes behind each added name")


def added_by(scorer: Scorer, wanted: Wanted) -> Added:
    """The columns that this classifier adds.

    Raises:
        ConfigError: scores of classes are asked of a regression.
    """
    if wanted.scores and scorer.task == "regression":
        raise ConfigError.at("--scores", "this model tells a number, not classes", "leave it out")
    return Added(scorer.task, scorer.labels if wanted.scores else (), wanted.suffix)


def text_columns(names: Sequence[str], wanted: Wanted, scorer: Scorer, where: str) -> TextColumns:
    """The columns that are named, else those of training, else those with the usual names.

    Args:
        names: all columns of the input.
        wanted: may name some.
        scorer: knows those of training, and whether it wants pairs.
        where: the file, for messages.

    Raises:
        ConfigError: a second text for a model of single texts.
        DataError: a column that is not there, or is both texts of a pair, or no column is obvious.
    """
    if wanted.pair_column and scorer.pairs is False:
        raise ConfigError.at("--pair-column", "this model was trained on single texts", "leave it out")
    for option, name in [("--text-column", name) for name in wanted.text_columns] + [
        ("--pair-column", name) for name in [wanted.pair_column] if name
    ]:
        if name not in names:
            raise _absent(names, option, name, where)
    usual = usual_pair(names, wanted.pair_column) if scorer.pairs else (None, None)
    first = wanted.text_columns or _all_in(names, scorer.text_columns)
    if not first:
        first = (usual[0],) if usual[0] else (_obvious(names, where),)
    second = wanted.pair_column
    if scorer.pairs and not second:
        second = scorer.pair_column if scorer.pair_column in names else usual[1]
        if second is None:
            known = ", ".join(sorted({other for _, other in PAIR_NAMES}))
            what = f"this model wants pairs, and no column has a usual name for the second text, such as {known}"
            raise DataError.at(where, f"{what}; found {_listed(names)}", "name it with --pair-column")
    if second in first:
        other = next((f", such as --pair-column {name}" for name in names if name not in first), "")
        what = f"{second!r} would be both the first and the second text"
        raise DataError.at(where, what, f"name another one with --pair-column{other}")
    return TextColumns(first, second, _note(first, second, wanted, scorer))


def _note(first: tuple[str, ...], second: str | None, wanted: Wanted, scorer: Scorer) -> str:
    """What to tell where columns of training were looked for and others are taken."""
    firsts = not wanted.text_columns and scorer.text_columns and first != scorer.text_columns
    seconds = second and not wanted.pair_column and scorer.pair_column and second != scorer.pair_column
    if not firsts and not seconds:
        return ""
    taken, trained = (*first, *filter(None, [second])), (*scorer.text_columns, *filter(None, [scorer.pair_column]))
    what = "the text is" if len(taken) == 1 else "the texts are"
    return f"{what} read from {_listed(taken)}; the model was trained on {_listed(trained)}"


def _all_in(names: Sequence[str], wanted: tuple[str, ...]) -> tuple[str, ...]:
    return wanted if set(wanted) <= set(names) else ()


def _obvious(names: Sequence[str], where: str) -> str:
    found = usual_names(names, TEXT_NAMES)
    if len(found) == 1:
        return found[0]
    if found:
        said = f"several columns may hold the text: {_listed(found)}"
        raise DataError.at(where, said, f"choose one, such as --text-column {found[0]}")
    said = f"no column has a usual name for the text; found {_listed(names)}"
    raise DataError.at(where, said, f"name it, such as --text-column {names[0]}")


def _absent(names: Sequence[str], option: str, name: str, where: str) -> DataError:
    close = nearest(name.strip(), names)
    fix = f"did you mean {option} {close}?" if close else f"give {option} one of them"
    return DataError.at(where, f"no column {name!r}; found {_listed(names)}", fix)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return ", ".join(map(repr, names[:MOST_SHOWN])) + more


def _texts(chunk: Chunk, name: str) -> list[str]:
    """The values of a column as the model reads them: what is missing is empty, control characters are blanks."""
    values = chunk.column(name)
    for row, value in enumerate(values):
        if isinstance(value, str):
            continue
        if value is not None:
            what = f"{name!r} holds {value!r:.60}, which is no text"
            raise DataError.at(chunk.locate(row), what, "write it in quotes, or name the text with --text-column")
    texts = [UNREAD.sub(" ", value or "") for value in values]
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        row = next(row for row, text in enumerate(texts) if any("\ud800" <= one <= "\udfff" for one in text))
        what = f"{name!r} holds half a character (a lone surrogate, \\ud800 to \\udfff)"
        raise DataError.at(chunk.locate(row), what, "write it as Unicode text") from None
    return texts
