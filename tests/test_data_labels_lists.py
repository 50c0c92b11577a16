"""Labels of which a text may have several."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from forgeml.data.labels import lists
from forgeml.data.labels.lists import (
    NAMES,
    as_lists,
    as_matrix,
    find_separator,
    first_separator,
    fit_lists,
    without_names,
)
from forgeml.errors import DataError

WHERE = "data.csv column tags"


def _column(values: list[Any], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    """The values in two chunks."""
    kind = kind or pa.array(values).type
    return pa.chunked_array([pa.array(values[:1], kind), pa.array(values[1:], kind)], kind)


def _lists(*rows: list[str] | None) -> pa.ChunkedArray:
    return _column(list(rows), NAMES)


@pytest.mark.parametrize(
    ("values", "plural", "separator"),
    [
        (["a|b", "a", "b", "b|a"], False, "|"),
        (["a | b", "a", "b", "b|a", " b "], False, "|"),
        (["a;b", "a", "b", "a;b;a"], False, ";"),
        (["a,b", "a", "b", "b,a"], True, ","),
        (["a,b", "a", "b", "b,a"], False, None),
        (["a b", "a", "b", "b a"], True, " "),
        (["a b", "a", "b", "b a"], False, None),
        (["very good", "good", "bad", "very bad"], True, None),
        (["card arrival", "card lost", "lost card"], True, None),
        (["a|b", "c|d"], False, None),
        ([], True, None),
        (["a", "b"], True, None),
    ],
)
def test_separator_is_found_where_joining_is_certain(values: list[str], plural: bool, separator: str | None) -> None:
    """Fewer names than values; commas and blanks count in columns of labels only, where names stand alone as well."""
    assert find_separator(values, plural) == separator


def test_columns_of_texts_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A great many different values are no joined names."""
    monkeypatch.setattr(lists, "MOST_VALUES", 3)
    assert find_separator(["a|b", "a", "b", "b|a"], plural=True) is None


@pytest.mark.parametrize(
    ("values", "separator"),
    [(["a", "b|c"], "|"), (["a;b", "b,c"], ";"), (["a, b"], ","), (["a b"], "|"), ([], "|")],
)
def test_first_separator_is_the_first_that_stands_anywhere(values: list[str], separator: str) -> None:
    """The order is that of how sure a sign it is; a blank may be part of a name, and is not taken for one."""
    assert first_separator(values) == separator


READ: dict[str, tuple[pa.ChunkedArray, list[str] | None, str | None, list[list[str] | None]]] = {
    "lists": (_column([["b", "a"], [], None]), None, None, [["b", "a"], [], None]),
    "large lists": (_lists(["b"], None), None, None, [["b"], None]),
    "lists of numbers": (_column([[1, 2], [3]]), None, None, [["1", "2"], ["3"]]),
    "declared": (_column([[1, 0], [], None]), ["no", "yes"], None, [["yes", "no"], [], None]),
    "declared single numbers": (_column([1, 0, -1, None]), ["no", "yes"], None, [["yes"], ["no"], None, None]),
    "joined": (_column(["a | b", "b", "", None]), None, "|", [["a", "b"], ["b"], [], None]),
    "joined with empty names": (_column(["a,,b", ",", " a "]), None, ",", [["a", "b"], [], ["a"]]),
    "joined by blanks": (_column(["a  b", " b\t"]), None, " ", [["a", "b"], ["b"]]),
    "twice in a row": (_column(["a|b|a", "b"]), None, "|", [["a", "b"], ["b"]]),
    "as Python writes lists": (_column(["['a b', 'c']", "[]", '["d"]']), None, "|", [["a b", "c"], [], ["d"]]),
    "lists of bare words": (_column(["[a, b]", "[1, 2]"]), None, " ", [["a", "b"], ["1", "2"]]),
    "categories": (_column(["a|b", "a", "a|b"]).dictionary_encode(), None, "|", [["a", "b"], ["a"], ["a", "b"]]),
    "integers": (_column([3, 1]), None, None, [["3"], ["1"]]),
}


@pytest.mark.parametrize("case", READ)
def test_labels_become_lists_of_names(case: str) -> None:
    """Lists, joined names and lists that are written in a text are read alike; no label at all stays null."""
    column, class_names, separator, expected = READ[case]
    found = as_lists(column, class_names, separator, WHERE)
    assert found.to_pylist() == expected
    assert found.type == NAMES
    assert isinstance(found, pa.ChunkedArray)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("['it\\'s', \"a\"]", ["it's", "a"]),
        ("['Crime, Drama', 'War']", ["Crime, Drama", "War"]),
        ('["a \\"b\\"", "c"]', ['a "b"', "c"]),
        ('["caf\\u00e9", 3]', ["café", "3"]),
        ("['a b' 'c']", ["a b", "c"]),
        ("['a' , it's]", ["a", "it's"]),
        ("[" * 100_000 + "]", ["[" * 99_999]),
    ],
)
def test_quotes_in_written_lists_are_understood(text: str, names: list[str]) -> None:
    """A comma or a quote inside a name parts nothing."""
    assert as_lists(_column([text, "[]"]), None, "|", WHERE).to_pylist() == [names, []]


@pytest.mark.parametrize(
    ("column", "class_names", "what"),
    [
        (_column([[0.5], [1.0]]), None, "labels are lists of kind double"),
        (_column([[["a"]], [["b"]]]), None, "labels are lists of kind list"),
        (_column([{"a": 1}, {"a": 2}]), None, "labels are of kind struct"),
        (_column([[0], [2]]), ["no", "yes"], "a class number outside 0 to 1"),
        (_column([[0], [-1]]), ["no", "yes"], "a class number outside 0 to 1"),
        (_column([0, 2]), ["no", "yes"], "a class number outside 0 to 1"),
    ],
    ids=["fractions", "lists of lists", "maps", "too high", "too low", "single too high"],
)
def test_lists_that_name_no_classes_are_refused(
    column: pa.ChunkedArray, class_names: list[str] | None, what: str
) -> None:
    """Names or whole numbers inside the declared classes are wanted."""
    with pytest.raises(DataError, match=what) as raised:
        as_lists(column, class_names, None, WHERE)
    assert raised.value.problems[0].where == WHERE


def test_classes_are_sorted() -> None:
    """Numbers go by size and words by alphabet."""
    assert fit_lists(_lists(["b", "a"], ["c"], None, []), WHERE) == ("a", "b", "c")
    assert fit_lists(_lists(["10", "9"], ["2"]), WHERE) == ("2", "9", "10")


def test_near_equal_names_and_no_names_are_refused() -> None:
    """Two spellings of one name are told with their counts, and so is that there is no name at all."""
    with pytest.raises(DataError, match=r"nearly the same: 'Joy' \(2 rows\), 'joy' \(1 row\)"):
        fit_lists(_lists(["Joy", "fear"], ["joy"], ["Joy"]), WHERE)
    with pytest.raises(DataError, match="no row has a label"):
        fit_lists(_lists([], None), WHERE)


def test_matrix_has_a_column_for_each_class() -> None:
    """1 where the row has the class, in whatever chunks and order; an empty list is a row of zeros."""
    found = as_matrix(_lists(["b", "a"], [], ["c"], ["b"]), ("a", "b", "c"), WHERE)
    assert found.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert found.dtype == np.uint8
    assert as_matrix(_lists([], []), ("a",), WHERE).tolist() == [[0], [0]]
    assert as_matrix(_lists(["a"], ["b"], ["a"]).slice(1), ("a", "b"), WHERE).tolist() == [[0, 1], [1, 0]]


def test_unknown_names_are_refused_with_counts() -> None:
    """Every name that train lacks is told with its rows, the most frequent first."""
    with pytest.raises(DataError, match=r"'y' \(2 rows\), 'x' \(1 row\)\n.*train knows 'a'"):
        as_matrix(_lists(["a", "y"], ["y", "x"]), ("a",), WHERE)


def test_names_can_be_taken_out() -> None:
    """The rows stay, without these names."""
    found = without_names(_lists(["a", "b"], ["b"], None, []), {"b"})
    assert found.to_pylist() == [["a"], [], None, []]
    assert found.type == NAMES


def test_zeros_and_ones_for_each_class_are_refused() -> None:
    """They would be taken for the names of two classes."""
    with pytest.raises(DataError, match="lists of 3 zeros and ones, one for each class"):
        as_lists(_column([[0, 1, 1], [1, 0, 0]]), None, None, WHERE)
    assert as_lists(_column([[0, 1], [1]]), None, None, WHERE).to_pylist() == [["0", "1"], ["1"]]


def test_what_is_missing_inside_a_list_is_left_out() -> None:
    """The other names of the list stay, by name or by number."""
    assert as_lists(_column([["a", None], ["b"], None]), None, None, WHERE).to_pylist() == [["a"], ["b"], None]
    assert as_lists(_column([[1, None], [0]]), ["no", "yes"], None, WHERE).to_pylist() == [["yes"], ["no"]]


def test_parts_of_one_name_are_not_names() -> None:
    """As many parts in every value, none of which stands alone, are a path and not a list."""
    paths = [f"{first}|{second}" for first in "AB" for second in "xyz"]
    assert find_separator(paths, plural=False) is None
    assert find_separator([*paths, "A"], plural=False) == "|"
