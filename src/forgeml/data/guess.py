"""Columns by their content, for data whose columns have no usual names."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from forgeml.config.schema import DataConfig
from forgeml.data.columns import choose_columns
from forgeml.data.names import LABEL_NAMES, TEXT_NAMES, usual_names
from forgeml.data.rows import resolve
from forgeml.errors import DataError
from forgeml.records import Source

ROWS_READ = 5_000
MOST_CLASSES = 200
TIMES_SEEN = 4
"""A label is seen so many times on average, or more."""
SHORTEST_TEXT = 12
"""Characters on average, in a column that is to be the text."""


def complete(source: Source, config: DataConfig) -> DataConfig:
    """The configuration with text and label column, guessed by content where no name is obvious.

    Raises:
        DataError: not even the content tells.
    """
    split, _, _ = resolve(source, "data.train_split", config.train_split)
    table = source.tables[split].slice(0, ROWS_READ)
    try:
        choose_columns(source, split, config)
    except DataError as error:
        for guessed in _guesses(table, config):
            try:
                choose_columns(source, split, guessed)
            except DataError:
                continue
            return guessed
        raise error from None
    return config


def _guesses(table: pa.Table, config: DataConfig) -> Iterator[DataConfig]:
    """Configurations to be tried: with a label first, as the names of the texts, or pairs of them, may be usual."""
    named = {name for name in (config.text_pair_column, config.label_column) if name}
    text = config.text_column or _text(table, named)
    texts = set() if text is None else {text} if isinstance(text, str) else set(text)
    label = config.label_column or _label(table, named | texts)
    if label is None or text is None:
        return
    yield config.model_copy(update={"label_column": label})
    yield config.model_copy(update={"text_column": text, "label_column": label})


def _text(table: pa.Table, taken: set[str]) -> str | None:
    """The only usual name, else the column with the longest texts."""
    usual = usual_names([name for name in table.column_names if name not in taken], TEXT_NAMES)
    if len(usual) == 1:
        return usual[0]
    lengths = {
        name: pc.mean(pc.utf8_length(table.column(name))).as_py() or 0
        for name in usual or table.column_names
        if name not in taken and _is_text(table.column(name).type)
    }
    longest = max(lengths, key=lambda name: lengths[name], default=None)
    return longest if longest is not None and lengths[longest] >= SHORTEST_TEXT else None


def _label(table: pa.Table, taken: set[str]) -> str | None:
    """The only usual name, else the column with the fewest values, each of them often."""
    usual = usual_names([name for name in table.column_names if name not in taken], LABEL_NAMES)
    if len(usual) == 1:
        return usual[0]
    counts = {
        name: len(table.column(name).unique())
        for name in usual or table.column_names
        if name not in taken and (_is_text(table.column(name).type) or pa.types.is_integer(table.column(name).type))
    }
    most = min(MOST_CLASSES, len(table) // TIMES_SEEN)
    fitting = {name: count for name, count in counts.items() if 2 <= count <= most}
    return min(fitting, key=lambda name: fitting[name], default=None)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
