"""Columns by their content."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from forgeml.config.schema import DataConfig
from forgeml.data.guess import complete
from forgeml.errors import DataError
from forgeml.records import Source

ROWS = 40
COLUMNS: dict[str, list[Any]] = {
    "number": list(range(ROWS)),
    "what was said": [f"a sentence of some length, number {row}" for row in range(ROWS)],
    "verdict": ["good", "bad"] * (ROWS // 2),
    "short": [f"w{row}" for row in range(ROWS)],
    "grade": [row % 5 for row in range(ROWS)],
    "always": ["same"] * ROWS,
}


def _completed(columns: dict[str, list[Any]], **config: Any) -> tuple[Any, Any]:
    source = Source("data", None, {"train": pa.table(columns)})
    found = complete(source, DataConfig(dataset="data", **config))
    return found.text_column, found.label_column


def _only(*names: str, **renamed: str) -> dict[str, list[Any]]:
    return {name: COLUMNS[name] for name in names} | {new: COLUMNS[old] for new, old in renamed.items()}


def test_nothing_is_guessed_where_names_are_obvious() -> None:
    """A configuration that is enough stays as it is."""
    assert _completed(_only("grade", text="short", label="verdict")) == (None, None)


@pytest.mark.parametrize(
    ("columns", "config", "expected"),
    [
        (_only(*COLUMNS), {}, ("what was said", "verdict")),
        (_only("number", "what was said", "grade"), {}, ("what was said", "grade")),
        (_only("what was said", "grade", label="verdict"), {}, ("what was said", "label")),
        (_only("what was said", "grade", text="short"), {}, (None, "grade")),
        (_only("grade", "verdict", review="what was said", comment="short"), {}, ("review", "verdict")),
        (_only("what was said", sentiment="verdict", topic="grade"), {}, ("what was said", "sentiment")),
        (_only(*COLUMNS), {"label_column": "grade"}, ("what was said", "grade")),
        (_only(*COLUMNS), {"text_column": "short"}, ("short", "verdict")),
        (_only(*COLUMNS), {"text_column": ["short", "what was said"]}, (["short", "what was said"], "verdict")),
    ],
    ids=["all", "integers", "label known", "text known", "two texts", "two labels", "label", "text", "list"],
)
def test_columns_are_seen_from_their_content(
    columns: dict[str, list[Any]], config: dict[str, Any], expected: tuple[Any, Any]
) -> None:
    """The longest texts are the text, the fewest values the label; names that are usual or given are kept."""
    assert _completed(columns, **config) == expected


def test_text_columns_that_are_named_are_not_the_label() -> None:
    """None of a list of text columns is taken for the label, however few its values are."""
    columns = _only("what was said", "grade", "verdict")
    assert _completed(columns, text_column=["verdict", "what was said"])[1] == "grade"


@pytest.mark.parametrize(
    "columns",
    [_only("short", "verdict"), _only("what was said", "always"), _only("what was said", "number")],
    ids=["no text", "one value", "all values differ"],
)
def test_what_cannot_be_guessed_is_refused(columns: dict[str, list[Any]]) -> None:
    """The message is the one of columns without usual names, with the list of them."""
    with pytest.raises(DataError, match="no column has a usual name for the"):
        _completed(columns)


def test_column_that_is_not_there_is_refused() -> None:
    """A name that is given is never replaced by a guess."""
    with pytest.raises(DataError, match="no column 'verdikt'"):
        _completed(_only(*COLUMNS), label_column="verdikt", text_column="what was said")


def test_pair_column_that_is_named_is_neither_text_nor_label() -> None:
    """The second text of a pair is settled, so the first is looked for among the others."""
    columns = _only("short", "verdict") | {"long": COLUMNS["what was said"], "a text": ["twelve letters"] * ROWS}
    assert _completed(columns, text_pair_column="long") == ("a text", "verdict")


def test_second_text_of_pairs_is_kept() -> None:
    """A label of an unusual name does not turn pairs into single texts."""
    rows = range(40)
    columns = {
        "premise": [f"a first text {row}" for row in rows],
        "hypothesis": [f"a second text {row}" for row in rows],
    }
    columns["relation"] = [("yes", "no")[row % 2] for row in rows]
    assert _completed(columns) == (None, "relation")
