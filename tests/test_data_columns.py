"""Which columns hold text and label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from forgeml.config.schema import DataConfig
from forgeml.data.columns import Columns, check_columns, choose_columns, place_of
from forgeml.data.names import LABEL_NAMES, PAIR_NAMES, TEXT_NAMES
from forgeml.data.reading.json_rows import UNUSABLE
from forgeml.errors import DataError
from forgeml.records import Source


def _source(*names: str, **more: Any) -> Source:
    """A source of one row whose columns have these names."""
    return Source("reviews", None, {"train": pa.table({name: ["x"] for name in names})}, **more)


def _chosen(*names: str, source: Source | None = None, **config: Any) -> tuple[str | list[str], str | None, str]:
    columns = choose_columns(source or _source(*names), "train", DataConfig(dataset="reviews", **config))
    settings = columns.as_settings()
    return settings["text_column"], settings["text_pair_column"], settings["label_column"]


def _refused(*names: str, source: Source | None = None, **config: Any) -> str:
    with pytest.raises(DataError) as raised:
        _chosen(*names, source=source, **config)
    return str(raised.value)


def _flat(tiers: Sequence[Sequence[str]]) -> list[str]:
    return [name for tier in tiers for name in tier]


@pytest.mark.parametrize("name", _flat(TEXT_NAMES))
def test_usual_names_of_the_text_are_known(name: str) -> None:
    """Alone in the table, each of them is the text, whatever stands beside it."""
    assert _chosen("id", "label", name) == (name, None, "label")


@pytest.mark.parametrize("name", _flat(LABEL_NAMES))
def test_usual_names_of_the_label_are_known(name: str) -> None:
    """Alone in the table, each of them is the label, whatever stands beside it."""
    assert _chosen("id", "text", name) == ("text", None, name)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((" Text ", "LABEL"), (" Text ", None, "LABEL")),
        (("Review Text", "Gold-Label"), ("Review Text", None, "Gold-Label")),
        (("Tweet_Text", "Similarity score"), ("Tweet_Text", None, "Similarity score")),
    ],
)
def test_case_and_spaces_make_no_difference(names: tuple[str, ...], expected: object) -> None:
    """Column names are compared without capitals, outer spaces, and with blanks or hyphens as underscores."""
    assert _chosen(*names) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("title", "content", "text", "label"), "text"),
        (("title", "content", "label"), "content"),
        (("title", "id", "label"), "title"),
    ],
)
def test_earlier_tiers_of_text_names_come_first(names: tuple[str, ...], expected: str) -> None:
    """A title is the text only where nothing better is there."""
    assert _chosen(*names)[0] == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("text", "score", "category", "labels", "label"), "label"),
        (("text", "score", "category", "labels"), "labels"),
        (("text", "score", "category"), "category"),
        (("text", "score"), "score"),
    ],
)
def test_earlier_tiers_of_label_names_come_first(names: tuple[str, ...], expected: str) -> None:
    """A score is the label only where no class is there."""
    assert _chosen(*names)[2] == expected


def test_ambiguous_names_are_refused_with_the_list() -> None:
    """Two names of one tier are not guessed between; the message names both and how to choose."""
    refused = _refused("review", "comment", "label")
    assert "reviews train: several columns may hold the text: 'review', 'comment'" in refused
    assert "choose one, such as data.text_column: review" in refused
    refused = _refused("text", "sentiment", "topic")
    assert "several columns may hold the label: 'sentiment', 'topic'" in refused
    assert "choose one, such as data.label_column: sentiment" in refused


def test_no_usual_name_is_refused_with_the_columns() -> None:
    """All columns are listed, and that a header may be missing is said."""
    refused = _refused("a", "b")
    assert "no column has a usual name for the text; found 'a', 'b'" in refused
    assert "set data.text_column to one of them; if the first row is no header" in refused
    assert "no column has a usual name for the label; found 'text', 'b'" in _refused("text", "b")


@pytest.mark.parametrize(("first", "second"), PAIR_NAMES)
def test_pairs_are_found_by_name(first: str, second: str) -> None:
    """Two texts that belong together by their names are a pair, in either order and in capitals."""
    assert _chosen("id", first, second, "label") == (first, second, "label")
    assert _chosen("label", second.title(), first.upper()) == (first.upper(), second.title(), "label")


def test_named_text_is_no_pair() -> None:
    """Whoever names the text column has said that it is one text."""
    assert _chosen("premise", "hypothesis", "label", text_column="hypothesis") == ("hypothesis", None, "label")


def test_named_pair_column_finds_its_first_text() -> None:
    """With the second text named, the first is the one that belongs to it, or the usual one."""
    names = ("sentence1", "sentence2", "premise", "hypothesis", "label")
    assert _chosen(*names, text_pair_column="hypothesis") == ("premise", "hypothesis", "label")
    assert _chosen("text", "other", "label", text_pair_column="other") == ("text", "other", "label")


def test_several_columns_may_make_one_text() -> None:
    """A list of columns is taken in its order."""
    assert _chosen("content", "title", "label", text_column=["title", "content"])[0] == ["title", "content"]


def test_text_named_among_label_names_is_not_the_label() -> None:
    """A column that is taken is not chosen again."""
    assert _chosen("category", "topic", text_column="topic") == ("topic", None, "category")


def test_what_is_known_of_the_data_set_comes_before_names() -> None:
    """Columns that the data set is known for win over names, and what is configured wins over both."""
    source = _source("text", "label", "body", "stars", text_column="body", label_column="stars")
    assert _chosen(source=source) == ("body", None, "stars")
    assert _chosen(source=source, text_column="text", label_column="label") == ("text", None, "label")


def test_only_declared_classes_are_the_label() -> None:
    """A column of an unusual name is the label if the data set declares classes for it alone."""
    source = _source("text", "coarse", "score", class_names={"coarse": ["a", "b"]})
    assert _chosen(source=source)[2] == "coarse"
    source = _source("text", "coarse", "fine", class_names={"coarse": ["a"], "fine": ["b"]})
    assert "no column has a usual name for the label" in _refused(source=source)


def test_missing_columns_are_reported_together() -> None:
    """Every column that is not there is named with what there is and the nearest name."""
    refused = _refused("text", "label", text_column=["Text ", "titel"], label_column="sentiment", text_pair_column="b")
    assert "no column 'Text '; found 'text', 'label'\n  fix: did you mean data.text_column: text?" in refused
    assert "no column 'titel'" in refused
    assert "no column 'b'; found 'text', 'label'\n  fix: set data.text_pair_column to one of them" in refused
    assert "no column 'sentiment'; found 'text', 'label'\n  fix: set data.label_column to one of them" in refused


@pytest.mark.parametrize(
    ("config", "where"),
    [
        ({"text_column": "text", "label_column": "text"}, "data.label_column: 'text' is named twice"),
        ({"text_column": ["text", "text"]}, "data.text_column: 'text' is named twice"),
        ({"text_column": "text", "text_pair_column": "text"}, "data.text_pair_column: 'text' is named twice"),
    ],
)
def test_one_column_cannot_be_two_things(config: dict[str, Any], where: str) -> None:
    """A column named twice is a slip."""
    assert where in _refused("text", "label", **config)


def test_columns_without_usable_values_are_refused() -> None:
    """What the reading of the file found wrong with a column is told when the column is wanted, and only then."""
    field = pa.field("text", pa.null(), metadata={UNUSABLE: b"text in line 1, list in line 2"})
    table = pa.table({"text": pa.nulls(2), "label": ["a", "b"]}).cast(
        pa.schema([field, pa.field("label", pa.string())])
    )
    with pytest.raises(DataError, match="here column text: text in line 1, list in line 2"):
        check_columns(table, Columns(("text",), None, "label"), "here")


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({}, "reviews train"),
        ({"train": ["a.csv"]}, "a.csv"),
        ({"train": ["a.csv", "b.csv", "c.csv"]}, "a.csv and 2 more files"),
    ],
)
def test_place_of_a_split(files: dict[str, list[str]], place: str) -> None:
    """Files by name, the hub by data set and split."""
    assert place_of(_source("text", files=files), "train") == place
