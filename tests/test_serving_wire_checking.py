"""Checks that all formats share: what they refuse, by which status, and what the refusal tells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from forgeml.records import ListedTexts
from forgeml.serving.refusals import Refusal
from forgeml.serving.wire.checking import (
    as_list,
    as_object,
    as_one_of,
    as_text,
    as_texts,
    as_whole,
    check_pairs,
    is_empty,
    rows_as_texts,
)
from wire_made import LIMITS, facts

KINDS = {
    "null": None,
    "true or false": True,
    "a whole number": 3,
    "a number with a point": 3.5,
    "an object": {"text": "secret"},
    "a list": ["secret"],
}


def _refused(status: int, code: str, field: str | None) -> Any:
    def agrees(refusal: BaseException) -> bool:
        assert isinstance(refusal, Refusal)
        return (refusal.status, refusal.code, refusal.field) == (status, code, field)

    return pytest.raises(Refusal, check=agrees)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_text_is_refused_by_its_kind(kind: str) -> None:
    """Neither null nor a number is read as a text of that name; the message has the kind and never the value."""
    with _refused(422, "wrong_kind", "texts[3]") as caught:
        as_text(KINDS[kind], "texts[3]")
    assert caught.value.message == f"texts[3] is {kind}; text is wanted"


@pytest.mark.parametrize("text", ["", "\0", "a\0b", "\ufeff", "😀", "\uffff", "\u202e"])
def test_every_text_that_can_be_written_is_taken(text: str) -> None:
    """Empty texts, NUL and the rarest characters are texts."""
    assert as_text(text, "text") == text


@pytest.mark.parametrize("text", ["ab\ud800", "ab" + chr(0xDE00), "ab" + chr(0xDC00) + chr(0xD83D)])
def test_half_a_character_is_refused_with_its_place(text: str) -> None:
    """A lone surrogate cannot be encoded, and is no text."""
    with _refused(422, "half_character", "text") as caught:
        as_text(text, "text")
    assert "at 2" in caught.value.message


@pytest.mark.parametrize("value", [None, [], "a", 1, 1.5, True])
def test_body_of_another_kind_is_400_and_a_field_422(value: object) -> None:
    """What is no object is refused, and the status tells whether it is the body or something in it."""
    with _refused(400, "not_an_object", None):
        as_object(value, ("text",))
    with _refused(422, "wrong_kind", "parameters"):
        as_object(value, ("top_k",), at="parameters")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("txet", "unknown field 'txet'; did you mean 'text'?"),
        ("TEXT", "unknown field 'TEXT'; did you mean 'text'?"),
        ("zzz", "unknown field 'zzz'; there are text, text_pair"),
        ("\ud800", r"unknown field '\ud800'; there are text, text_pair"),
        ("z" * 1_000_000, f"unknown field '{'z' * 40}…'; there are text, text_pair"),
    ],
)
def test_unknown_fields_are_refused_with_the_nearest_known_one(name: str, said: str) -> None:
    """A field that nobody reads is a mistake, most often in writing."""
    with _refused(422, "unknown_field", said.split("'")[1]) as caught:
        as_object({"text": "a", name: 1}, ("text", "text_pair"))
    assert caught.value.message == said


def test_missing_fields_are_named_with_their_place() -> None:
    """What is wanted and not there is named, with the object it belongs to."""
    with _refused(422, "missing_field", "text"):
        as_object({}, ("text",), ("text",))
    with _refused(422, "missing_field", "inputs[1].text"):
        as_object({}, ("text",), ("text",), "inputs[1]")
    assert as_object({"text": 1}, ("text", "more"), ("text",)) == {"text": 1}


def test_lists_have_one_text_to_as_many_as_the_limit_says() -> None:
    """An empty list is 422, a long one 413 with the limit, and whatever stands in it is checked by its place."""
    few = replace(LIMITS, texts=2)
    assert as_texts(["a", "b"], "texts", few) == ["a", "b"]
    with _refused(422, "empty_list", "texts"):
        as_texts([], "texts", few)
    with _refused(413, "too_many_texts", "texts") as caught:
        as_texts([None] * 3, "texts", few)
    assert caught.value.message == "texts has 3 texts; at most 2 are read at once"
    with _refused(422, "wrong_kind", "texts[1]"):
        as_texts(["a", None], "texts", few)
    with _refused(422, "wrong_kind", "texts"):
        as_list("ab", "texts", few)


def test_whole_numbers_may_be_written_with_a_point() -> None:
    """JSON has one kind of numbers; a fraction is not whole, and a switch no number, though Python counts with it."""
    assert [as_whole(number, "top_k") for number in (1, 1.0, -2.0)] == [1, 1, -2]
    for value in (1.5, True, "1", None, [1]):
        with _refused(422, "wrong_kind", "top_k"):
            as_whole(value, "top_k")


@pytest.mark.parametrize(
    ("word", "hint"), [("softmaks", "did you mean 'softmax'?"), ("zzz", "there are softmax, none")]
)
def test_words_are_taken_from_a_fixed_set(word: str, hint: str) -> None:
    """Another word is refused with the nearest one, and is not repeated: it could be anything."""
    assert as_one_of("none", ("softmax", "none"), "function") == "none"
    with _refused(422, "wrong_value", "function") as caught:
        as_one_of(word, ("softmax", "none"), "function")
    assert caught.value.message == f"function has a value that is not known; {hint}"


def test_rows_are_read_by_column() -> None:
    """The texts of rows are collected by name, and either all rows have a second text or none."""
    rows = [{"text": "a", "text_pair": "b", "id": 1}, {"text": "c", "text_pair": "d"}]
    assert rows_as_texts(rows, "rows") == ListedTexts(["a", "c"], ["b", "d"])
    assert rows_as_texts([{"text": "a"}], "rows") == ListedTexts(["a"])
    with _refused(422, "missing_field", "rows[1].text_pair"):
        rows_as_texts([rows[0], {"text": "c"}], "rows")
    with _refused(422, "wrong_kind", "rows[0].text"):
        rows_as_texts([{"text": None}], "rows")


def test_pairs_are_asked_of_models_of_pairs_alone() -> None:
    """A model gets what it was trained on; one that does not tell gets both."""
    single, pair = ListedTexts(["a"]), ListedTexts(["a"], ["b"])
    with _refused(422, "pair_wanted", "text_pair"):
        check_pairs(single, facts(pairs=True), "text_pair")
    with _refused(422, "no_pair_wanted", "text_pair"):
        check_pairs(pair, facts(pairs=False), "text_pair")
    for texts, pairs in ((single, False), (pair, True), (single, None), (pair, None)):
        assert check_pairs(texts, facts(pairs=pairs), "text_pair") is texts


@pytest.mark.parametrize("pairs", [None, True, False])
def test_every_first_text_has_a_second_one(pairs: bool | None) -> None:
    """Lists of different lengths are no pairs."""
    with _refused(422, "wrong_length", "text_pairs"):
        check_pairs(ListedTexts(["a", "b"], ["c"]), facts(pairs=pairs), "text_pairs")


@pytest.mark.parametrize(
    ("first", "second", "empty"),
    [
        ("", None, True),
        (" \n\t\u00a0\u3000", None, True),
        ("\u200b\u200d\ufeff\u2060", None, True),
        (" " * 1000, None, True),
        ("\u200b" * 1000 + "a", None, False),
        ("a", None, False),
        ("\0", None, False),
        ("", " ", True),
        ("", "a", False),
        ("a", "", False),
    ],
)
def test_texts_without_anything_to_be_seen_are_empty(first: str, second: str | None, empty: bool) -> None:
    """White space and invisible characters say nothing; of a pair neither text may say anything."""
    assert is_empty(ListedTexts([first], None if second is None else [second]), 0) is empty
