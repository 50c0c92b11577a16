"""ForgeML's own format: one text, several, pairs, for every task."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from forgeml.records import ListedTexts
from forgeml.serving.wire.native import parse_many, parse_one
from wire_made import ALIKE, LABELS, LIMITS, VERSION, any_json, assert_understood_or_refused, facts, made_answers
from wire_made import refusal_of as refusal

MARKS = {"truncated", "empty"}


def _answer(parse: Any, body: Any, of_model: Any, truncated: bool = False) -> Any:
    asked = parse(body, of_model, LIMITS)
    return asked.render(made_answers(asked, of_model, truncated))


def test_one_text_gets_label_score_and_scores() -> None:
    """The answer of a single-label model holds all classes in their order, the marks and the version."""
    asked = parse_one({"text": "A warm film."}, facts(), LIMITS)
    assert asked.texts == ListedTexts(["A warm film."])
    answer = asked.render(made_answers(asked, facts()))
    assert list(answer) == ["label", "score", "scores", "truncated", "empty", "model_version"]
    assert list(answer["scores"]) == list(LABELS)
    assert answer["score"] == answer["scores"][answer["label"]] == max(answer["scores"].values())
    assert (answer["truncated"], answer["empty"], answer["model_version"]) == (False, False, VERSION)


def test_other_tasks_answer_in_their_own_fields() -> None:
    """Multi-label models give labels and scores, regression a value, and nothing that does not apply."""
    several = _answer(parse_one, {"text": "a"}, facts("multi_label"))
    assert set(several) == {"labels", "scores", "model_version"} | MARKS
    assert isinstance(several["labels"], list)
    assert set(_answer(parse_one, {"text": "a"}, facts("regression"))) == {"value", "model_version"} | MARKS


def test_marks_tell_cut_and_empty_texts() -> None:
    """Each text of a request has marks of its own."""
    answer = _answer(parse_many, {"texts": ["a", " \u200b"]}, facts(), truncated=True)
    assert [one["truncated"] for one in answer["predictions"]] == [True, True]
    assert [one["empty"] for one in answer["predictions"]] == [False, True]


def test_several_texts_are_answered_in_their_order() -> None:
    """The answer to many texts is what each would get alone, and the version once."""
    answer = _answer(parse_many, {"texts": ["a", "b", "c"]}, facts())
    assert set(answer) == {"predictions", "model_version"}
    assert len(answer["predictions"]) == 3
    assert all(set(one) == {"label", "score", "scores"} | MARKS for one in answer["predictions"])


def test_pairs_are_read_by_their_names() -> None:
    """The second texts come in a field of their own."""
    assert parse_one({"text": "a", "text_pair": "b"}, facts(pairs=True), LIMITS).texts == ListedTexts(["a"], ["b"])
    many = {"texts": ["a", "b"], "text_pairs": ["c", "d"]}
    assert parse_many(many, facts(pairs=True), LIMITS).texts == ListedTexts(["a", "b"], ["c", "d"])


REFUSED: list[tuple[Any, Any, bool, tuple[int, str, str | None]]] = [
    (parse_one, [], False, (400, "not_an_object", None)),
    (parse_one, {}, False, (422, "missing_field", "text")),
    (parse_one, {"text": None}, False, (422, "wrong_kind", "text")),
    (parse_one, {"text": ["a"]}, False, (422, "wrong_kind", "text")),
    (parse_one, {"texts": ["a"]}, False, (422, "unknown_field", "texts")),
    (parse_one, {"text": "a", "text_pair": None}, True, (422, "wrong_kind", "text_pair")),
    (parse_one, {"text": "a", "text_pair": "b"}, False, (422, "no_pair_wanted", "text_pair")),
    (parse_one, {"text": "a"}, True, (422, "pair_wanted", "text_pair")),
    (parse_many, {"texts": []}, False, (422, "empty_list", "texts")),
    (parse_many, {"texts": "a"}, False, (422, "wrong_kind", "texts")),
    (parse_many, {"texts": ["a", "b", 3]}, False, (422, "wrong_kind", "texts[2]")),
    (parse_many, {"texts": ["a", "\ud800"]}, False, (422, "half_character", "texts[1]")),
    (parse_many, {"texts": ["a"] * 65}, False, (413, "too_many_texts", "texts")),
    (parse_many, {"texts": ["a"], "text_pairs": ["b", "c"]}, True, (422, "wrong_length", "text_pairs")),
    (parse_many, {"texts": ["a"], "text_pairs": [1]}, True, (422, "wrong_kind", "text_pairs[0]")),
]


@pytest.mark.parametrize(("parse", "body", "pairs", "expected"), REFUSED)
def test_wrong_shapes_are_refused_by_place(parse: Any, body: Any, pairs: bool, expected: Any) -> None:
    """What is wrong is told by status, code and place."""
    found = refusal(parse, body, facts(pairs=pairs))
    assert (found.status, found.code, found.field) == expected


@pytest.mark.parametrize("parse", [parse_one, parse_many])
@ALIKE
@given(any_json(("text", "text_pair", "texts", "text_pairs")))
def test_any_json_is_understood_or_refused(parse: Any, value: Any) -> None:
    """Whatever the body holds, the answer can be written or there is a refusal."""
    assert_understood_or_refused(parse, value)
