"""Columns that are read, and columns that are added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from forgeml.errors import ConfigError, DataError
from forgeml.inference.files.chunks import PythonRows
from forgeml.inference.files.columns import Added, Scorer, TextColumns, Wanted, added_by, text_columns
from forgeml.records import Prediction

UNKNOWN = Scorer("single_label", ("neg", "pos"), "a model")
SINGLE = Scorer("single_label", ("neg", "pos"), "a model", False, ("review",))
PAIRS = Scorer("single_label", ("neg", "pos"), "a model", True, ("a",), "b")


def _chunk(*rows: Mapping[str, Any]) -> PythonRows:
    places = list(range(1, len(rows) + 1))
    return PythonRows("in.jsonl", rows, places, places)


def _chosen(names: Sequence[str], scorer: Scorer = UNKNOWN, **wanted: Any) -> tuple[tuple[str, ...], str | None]:
    found = text_columns(names, Wanted(**wanted), scorer, "in.csv")
    return found.first, found.second


def test_named_columns_win_over_those_of_training_and_those_over_usual_names() -> None:
    """The nearest to what was said comes first."""
    names = ["text", "review", "id", "b"]
    assert _chosen(names, SINGLE, text_columns=("id", "text")) == (("id", "text"), None)
    assert _chosen(names, SINGLE) == (("review",), None)
    assert _chosen(["Text", "id"], SINGLE) == (("Text",), None)
    assert _chosen(names) == (("text",), None)


def test_pairs_are_found() -> None:
    """By name, as in training, or by usual names; a model that is not known gets pairs only if they are named."""
    assert _chosen(["a", "b", "c"], PAIRS) == (("a",), "b")
    assert _chosen(["a", "b", "c"], PAIRS, pair_column="c") == (("a",), "c")
    assert _chosen(["premise", "hypothesis"], PAIRS) == (("premise",), "hypothesis")
    assert _chosen(["premise", "hypothesis"]) == (("premise",), None)
    assert _chosen(["premise", "x"], pair_column="x") == (("premise",), "x")


def test_other_columns_than_those_of_training_are_noted() -> None:
    """Only where they were looked for and are not all there; what is named is known to who named it."""

    def note(names: Sequence[str], scorer: Scorer, **wanted: Any) -> str:
        return text_columns(names, Wanted(**wanted), scorer, "in.csv").note

    said = "the text is read from 'body'; the model was trained on 'review'"
    assert note(["body", "id"], SINGLE) == said
    assert note(["review", "body"], SINGLE) == ""
    assert note(["review", "body"], SINGLE, text_columns=("body",)) == ""
    assert note(["body"], UNKNOWN) == ""
    several = Scorer("single_label", ("neg", "pos"), "a model", False, ("title", "body"))
    assert note(["text", "body"], several) == "the text is read from 'text'; the model was trained on 'title', 'body'"
    said = "the texts are read from 'premise', 'hypothesis'; the model was trained on 'a', 'b'"
    assert note(["premise", "hypothesis"], PAIRS) == said
    assert note(["a", "b"], PAIRS) == note(["a", "c"], PAIRS, pair_column="c") == ""
    half = "the texts are read from 'premise', 'hypothesis'; the model was trained on 'premise', 'b'"
    trained = Scorer("single_label", ("neg", "pos"), "a model", True, ("premise",), "b")
    assert note(["premise", "hypothesis"], trained) == half


SAME: list[tuple[Sequence[str], Scorer, dict[str, Any]]] = [
    (["a", "b"], PAIRS, {"text_columns": ("b",)}),
    (["b", "a"], PAIRS, {"pair_column": "a"}),
    (["text", "x"], UNKNOWN, {"pair_column": "text"}),
    (["x", "y"], UNKNOWN, {"text_columns": ("x", "y"), "pair_column": "y"}),
    (["premise", "hypothesis"], PAIRS, {"text_columns": ("hypothesis",)}),
]


@pytest.mark.parametrize(("names", "scorer", "wanted"), SAME)
def test_text_that_would_be_its_own_pair(names: Sequence[str], scorer: Scorer, wanted: dict[str, Any]) -> None:
    """No column is both texts, whoever chose them; a model of single texts has no second one to mind."""
    with pytest.raises(DataError, match=r"would be both the first and the second text\n  fix: .* --pair-column"):
        _chosen(names, scorer, **wanted)
    single = Scorer("single_label", ("neg", "pos"), "a model", False, ("a",), "a")
    assert _chosen(["a"], single) == (("a",), None)


REFUSALS: list[tuple[Sequence[str], Scorer, dict[str, Any], str]] = [
    (["reviw", "id"], SINGLE, {"text_columns": ("review",)}, "did you mean --text-column reviw?"),
    (
        ["x", "id"],
        UNKNOWN,
        {},
        "no column has a usual name for the text; found 'x', 'id'\n  fix: name it, such as --te",
    ),
    (["tweet", "body"], UNKNOWN, {}, "several columns may hold the text: 'tweet', 'body'\n  fix: choose one, such as"),
    (["a", "x"], PAIRS, {}, "this model wants pairs, and no column has a usual name for the second text"),
    (["a", "x"], PAIRS, {"pair_column": "bb"}, "no column 'bb'; found 'a', 'x'\n  fix: give --pair-column one of"),
    ([f"c{number}" for number in range(50)], UNKNOWN, {}, "'c19' and 30 more"),
]


@pytest.mark.parametrize(("names", "scorer", "wanted", "said"), REFUSALS)
def test_columns_that_are_not_there(names: Sequence[str], scorer: Scorer, wanted: dict[str, Any], said: str) -> None:
    """All that there are, are listed, with the nearest."""
    with pytest.raises(DataError) as raised:
        _chosen(names, scorer, **wanted)
    assert said in str(raised.value)


def test_second_text_for_a_model_of_single_texts() -> None:
    """The answers would mislead."""
    with pytest.raises(ConfigError, match="--pair-column: this model was trained on single texts"):
        _chosen(["review", "b"], SINGLE, pair_column="b")


def test_texts_are_read_as_in_training() -> None:
    """What is missing is empty, control characters are blanks, several columns are joined by line breaks."""
    chunk = _chunk({"a": "x\x01y\tz", "b": None, "c": "1"}, {"b": "  "})
    assert TextColumns(("a",)).texts(chunk) == (["x y\tz", ""], None, 1)
    assert TextColumns(("a", "b"), "c").texts(chunk) == (["x y\tz\n", "\n  "], ["1", ""], 1)


@pytest.mark.parametrize("value", [5, True, ["x"], {"x": "y"}, 1.5])
def test_what_is_no_text_is_refused_with_its_row(value: object) -> None:
    """As training would refuse it."""
    with pytest.raises(DataError, match=r"in.jsonl:2 \(row 2\): 'a' holds .*, which is no text"):
        TextColumns(("a",)).texts(_chunk({"a": "x"}, {"a": value}))


def test_half_a_character_is_refused_with_its_row() -> None:
    """No model has a token for it, and no encoding has bytes."""
    with pytest.raises(DataError, match=r"in.jsonl:2 \(row 2\): 'a' holds half a character"):
        TextColumns(("a",)).texts(_chunk({"a": "x"}, {"a": "\ud83d"}))


def test_columns_by_task() -> None:
    """Each task adds its own, with the suffix behind each name."""
    several = Scorer("multi_label", ("a", "b"), "a model")
    assert added_by(SINGLE, Wanted()).kinds == {"label": "text", "score": "number"}
    assert added_by(several, Wanted(scores=True, suffix="_new")).kinds == {
        "labels_new": "texts",
        "score_a_new": "number",
        "score_b_new": "number",
    }
    number = Scorer("regression", ("stars",), "a model")
    assert added_by(number, Wanted()).kinds == {"value": "number"}
    with pytest.raises(ConfigError, match="--scores: this model tells a number"):
        added_by(number, Wanted(scores=True))


def test_values_are_rounded_alike_in_every_kind_of_file() -> None:
    """Probabilities to seven decimals, numbers to seven digits."""
    one = Prediction("pos", 0.123456789, {"neg": 0.876543211, "pos": 0.123456789})
    assert Added("single_label", ("neg",)).values([one]) == {
        "label": ["pos"],
        "score": [0.1234568],
        "score_neg": [0.8765432],
    }
    several = Prediction(labels=("b", "a"), scores={"a": 0.6, "b": 0.9})
    assert Added("multi_label", ()).values([several, Prediction(labels=())]) == {"labels": [["b", "a"], []]}
    assert Added("regression", ()).values([Prediction(value=1234.56789), Prediction(value=1.23456789e-9)]) == {
        "value": [1234.568, 1.234568e-09]
    }


def test_collisions_are_all_named() -> None:
    """So that one look is enough."""
    added = Added("single_label", ("pos",))
    added.check(_chunk({"text": "x"}), "in.csv")
    with pytest.raises(DataError, match=r"in.csv: has columns 'label', 'score_pos' already, and nothing of the input"):
        added.check(_chunk({"text": "x", "score_pos": 1}, {"label": 2}), "in.csv")
