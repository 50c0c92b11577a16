"""Labels as words, classes and ids."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from forgeml.data.labels.classes import MOST_SHOWN, as_ids, as_words, check_count, fit
from forgeml.errors import ConfigError, DataError


def _column(values: list[Any], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    """The values in two chunks."""
    return pa.chunked_array([pa.array(values[:1], kind), pa.array(values[1:], kind)], kind)


def _words(*words: str | None) -> pa.ChunkedArray:
    return _column(list(words), pa.large_string())


WORDS: dict[str, tuple[pa.ChunkedArray, list[str] | None, list[str | None]]] = {
    "words": (_column(["pos", " neg", "NA", None], pa.string()), None, ["pos", " neg", "NA", None]),
    "large words": (_words("007", "x"), None, ["007", "x"]),
    "whole numbers as words": (_words("1.0", "-2.00", "3", None), None, ["1", "-2", "3", None]),
    "leading zero": (_words("007", "1.0"), None, ["007", "1"]),
    "fractions as words": (_words("1.0", "1.5"), None, ["1.0", "1.5"]),
    "numbers and words": (_words("1.0", "x"), None, ["1.0", "x"]),
    "numbers as categories": (_column(["1.0", "2.0"], pa.string()).dictionary_encode(), None, ["1", "2"]),
    "integers": (_column([3, -1, 0, None], pa.int64()), None, ["3", "-1", "0", None]),
    "small integers": (_column([3, 1], pa.uint8()), None, ["3", "1"]),
    "booleans": (_column([True, False, None], pa.bool_()), None, ["true", "false", None]),
    "whole numbers": (_column([1.0, 0.0, None, float("nan")], pa.float64()), None, ["1", "0", None, None]),
    "blank words": (_column(["a", "", " \t", None], pa.string()), None, ["a", None, None, None]),
    "blanks among numbers": (_words("1.0", " ", "2"), None, ["1", None, "2"]),
    "categories": (_column(["a", "b", "a"], pa.string()).dictionary_encode(), None, ["a", "b", "a"]),
    "nothing": (_column([None, None], pa.null()), None, [None, None]),
    "declared": (_column([1, 0, -1, None], pa.int64()), ["neg", "pos"], ["pos", "neg", None, None]),
    "declared, but words": (_column(["neg", "pos"], pa.string()), ["neg", "pos"], ["neg", "pos"]),
}


@pytest.mark.parametrize("kind", WORDS)
def test_labels_become_words(kind: str) -> None:
    """Words stay, blank ones are no label, numbers lose an empty fraction, -1 is no label where names are declared."""
    column, class_names, expected = WORDS[kind]
    words = as_words(column, class_names, "data.csv column label")
    assert words.to_pylist() == expected
    assert words.type == pa.large_string()


@pytest.mark.parametrize(
    ("column", "class_names", "what"),
    [
        (_column([0.0, 0.5], pa.float64()), None, "no whole numbers, such as 0.5"),
        (_column([0.0, float("inf")], pa.float64()), None, "no whole numbers"),
        (_column([["a"], ["b"]]), None, "list"),
        (_column([{"a": 1}, {"a": 2}]), None, "struct"),
        (_column([b"a", b"b"]), None, "binary"),
        (_column([0, 2], pa.int64()), ["neg", "pos"], "outside 0 to 1"),
        (_column([0, -2], pa.int64()), ["neg", "pos"], "outside 0 to 1"),
    ],
    ids=["fractions", "infinite", "lists", "maps", "bytes", "too high", "too low"],
)
def test_labels_that_name_no_class_are_refused(
    column: pa.ChunkedArray, class_names: list[str] | None, what: str
) -> None:
    """One word or whole number a row is wanted, inside the declared classes."""
    with pytest.raises(DataError, match=what):
        as_words(column, class_names, "data.csv column label")


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        (["pos", "neg", "pos", None], ("neg", "pos")),
        (["10", "9", "-1", "10", "9", "-1"], ("-1", "9", "10")),
        (["1", "01", "1", "01"], ("01", "1")),
        (["10", "9", "x", "10", "9", "x"], ("10", "9", "x")),
    ],
    ids=["words", "numbers", "leading zero", "mixed"],
)
def test_classes_are_sorted(words: list[str | None], classes: tuple[str, ...]) -> None:
    """Numbers go by size and words by alphabet, whatever the order of the rows."""
    assert fit(_words(*words), "here") == classes
    assert fit(_words(*reversed(words)), "here") == classes


def test_number_of_thousands_of_digits_is_a_word() -> None:
    """Python would not turn it into an integer, so the classes are sorted as words."""
    names = [*map(str, range(60)), "9" * 5000]
    assert fit(_words(*names, *names), "here") == tuple(sorted(names))


@pytest.mark.parametrize(
    "words",
    [["x", "y", "z"], [*map(str, range(30)), *map(str, range(20))], ["a b " * 40, "c d " * 40] * 50],
    ids=["all different", "hardly one twice", "long"],
)
def test_texts_in_the_label_column_are_refused(words: list[str]) -> None:
    """Hardly any label twice, or sentences for labels: the columns are swapped."""
    with pytest.raises(DataError, match="is the text in the label column") as raised:
        fit(_words(*words), "here")
    assert len(str(raised.value)) < 400


def test_labels_that_differ_by_case_or_spaces_are_refused() -> None:
    """They are one class written in two ways; each pair is a problem with counts, the more frequent first."""
    with pytest.raises(DataError) as raised:
        fit(_words(*["Pos "] * 2, *["pos"] * 3, *["neg", "Neg"], "other"), "here")
    assert [problem.what for problem in raised.value.problems] == [
        "labels that are nearly the same: 'pos' (3 rows), 'Pos ' (2 rows)",
        "labels that are nearly the same: 'neg' (1 row), 'Neg' (1 row)",
    ]


def test_ids_are_places_among_the_classes() -> None:
    """The id of a label is its place, in whatever chunks the labels come."""
    assert as_ids(_words("b", "a", "c", "a"), ("a", "b", "c"), "here").tolist() == [1, 0, 2, 0]
    assert as_ids(_words(), ("a", "b"), "here").tolist() == []


def test_unknown_labels_are_refused_with_counts() -> None:
    """Every label that train lacks is named with its rows, the most frequent first, a few of many."""
    with pytest.raises(DataError, match=r"'y' \(2 rows\), 'x' \(1 row\)\n.*train knows 'a', 'b'"):
        as_ids(_words("x", "y", "a", "y"), ("a", "b"), "here")
    with pytest.raises(DataError, match=rf"and {20 - MOST_SHOWN} more labels") as raised:
        as_ids(_words(*[f"{number} " + "word " * 1000 for number in range(20)]), ("a", "b"), "here")
    assert len(str(raised.value)) < 1200


def test_configured_count_must_agree() -> None:
    """`model.num_labels` is held against the data, and may be left out."""
    check_count(("a", "b"), None)
    check_count(("a", "b"), 2)
    with pytest.raises(ConfigError, match="3 classes, but the data has 2: 'a', 'b'"):
        check_count(("a", "b"), 3)
