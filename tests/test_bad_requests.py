"""Bodies that are not what the server reads, by the rows S01 to S08 and S11 of the catalogue of bad input."""

from __future__ import annotations

import codecs
import gzip
import json
from collections.abc import Mapping
from typing import Any

import pytest

from refusals import assert_all_rows, assert_says
from served import JSON, MARK, Running

INFER = "/v2/models/best_model/infer"
ASKING = ("/predict", "/predict/batch", "/explain", "/", "/invocations", INFER)
"""The routes that read a body."""
PLAIN = b'{"text": "A lovely film."}'
WHERE = "tests/test_bad_requests_%s.py::test_%s"

ELSEWHERE: Mapping[str, str] = {
    "S09": WHERE % ("http", "bytes_are_refused"),
    "S10": WHERE % ("texts", "hostile_texts_are_cut_and_answered_in_time"),
    "S12": WHERE % ("http", "wrong_methods_are_told_the_right_ones"),
    "S13": WHERE % ("http", "bytes_are_refused"),
    "S14": WHERE % ("clients", "slow_requests_are_refused_after_their_time"),
    "S15": WHERE % ("clients", "clients_that_leave_are_counted_and_no_error"),
    "S16": WHERE % ("clients", "overload_is_refused_at_once_and_leaves_nothing_behind"),
    "S17": WHERE % ("clients", "idle_connections_give_way"),
    "S18": WHERE % ("keys", "every_route_wants_a_key"),
    "S19": WHERE % ("http", "foreign_names_are_not_answered"),
    "S20": WHERE % ("http", "odd_protocols_get_a_sane_answer"),
    "S21": WHERE % ("process", "stop_under_load_loses_nothing"),
    "S22": WHERE % ("process", "broken_folders_leave_the_model_that_answers"),
    "S23": WHERE % ("process", "addresses_that_cannot_be_had_are_told"),
    "S24": WHERE % ("texts", "a_text_that_fails_costs_its_own_request_alone"),
    "S25": WHERE % ("texts", "a_text_that_takes_long_is_bounded"),
    "S26": WHERE % ("keys", "labels_of_the_counts_stay_those_of_the_server"),
    "S27": WHERE % ("keys", "what_looks_like_a_line_of_the_log_is_none"),
    "S28": WHERE % ("keys", "nothing_takes_a_path"),
}


def text(value: str) -> bytes:
    """The body of /predict with this between the quotes."""
    return b'{"text": "%b"}' % value.encode("utf-8", "surrogatepass")


def tensor(data: list[Any]) -> dict[str, Any]:
    """The body of an inference request."""
    return {"inputs": [{"name": "text", "shape": [len(data)], "datatype": "BYTES", "data": data}]}


# What no route reads: the body, and what is said of it. All are answered with 400.
NOT_JSON: Mapping[str, tuple[bytes, list[str]]] = {
    "S01-empty": (b"", ["the body is empty"]),
    "S01-blank": (b" \r\n\t ", ["the body is empty"]),
    "S01-cut": (b'{"text": "' + MARK.encode(), ["line 1, column 10"]),
    "S01-comma": (b'{"text": "a",}', ["line 1, column 1"]),
    "S01-second-line": (b'{"text":\n  oops}', ["line 2, column 3"]),
    "S01-single-quotes": (b"{'text': 'a'}", ["line 1, column 2"]),
    "S01-two-values": (b'{"text": "a"} {"text": "b"}', ["Extra data", "column 15"]),
    "S01-form": (b"text=A+lovely+film.", ["line 1, column 1"]),
    "S01-line-in-text": (b'{"text": "a\nb"}', ["line 1, column 12"]),
    "S01-bad-escape": (rb'{"text": "\x41"}', ["line 1, column 11"]),
    "S01-list": (b'["A lovely film."]', ["the body is a list"]),
    "S01-text": (b'"A lovely film."', ["the body is text"]),
    "S01-null": (b"null", ["the body is null"]),
    "S01-number": (b"3", ["the body is a whole number"]),
    "S03-nan": (b'{"text": NaN}', ["'NaN' is no number", "line 1, column 10"]),
    "S03-infinity": (b'{"text": Infinity}', ["'Infinity'", "line 1, column 10"]),
    "S03-minus-infinity": (b'{"text": -Infinity}', ["'-Infinity'", "line 1, column 10"]),
    "S03-too-large": (b'{"text":\n1e400}', ["'1e400'", "line 2, column 1"]),
    "S03-too-small": (b'{"text": -1e400}', ["'-1e400'", "column 10"]),
    "S03-deep": (b'{"texts": ["a", [NaN]]}', ["'NaN'", "column 18"]),
    "S04-utf-16": ('{"text": "a"}'.encode("utf-16"), ["UTF-16"]),
    "S04-utf-16-without-mark": ('{"text": "a"}'.encode("utf-16-le"), ["UTF-16"]),
    "S04-utf-32": ('{"text": "a"}'.encode("utf-32"), ["UTF-32"]),
    "S04-latin-1": ('{"text": "café"}'.encode("latin-1"), ["not UTF-8 at byte 13"]),
    "S04-cut-character": (b'{"text": "\xe2\x82"}', ["not UTF-8 at byte 10"]),
    "S04-overlong": (b'{"text": "\xc0\x80"}', ["not UTF-8 at byte 10"]),
    "S04-raw-surrogate": (text("\ud800"), ["not UTF-8 at byte 10"]),
    "S07-duplicate": (b'{"text": "a", "text": "b"}', ["the key 'text' stands twice"]),
    "S07-duplicate-deep": (b'{"inputs": {"text": "a", "text": "a"}}', ["the key 'text' stands twice"]),
    "S07-duplicate-escaped": (rb'{"text": "a", "t\u0065xt": "b"}', ["the key 'text' stands twice"]),
    "S11-brackets": (b"[" * 200_000 + b"]" * 200_000, ["nested too deep"]),
    "S11-braces": (b'{"text":' * 100_000 + b"1" + b"}" * 100_000, ["nested too deep"]),
    "S11-open-brackets": (b"[" * 200_000, ["nested too deep"]),
    "S11-digits": (b'{"text": ' + b"9" * 5_000 + b"}", ["more than 4,300 digits", "line 1, column 10"]),
}

# What is JSON and of another shape: path, body, status, code, field and words of the message.
SHAPES: Mapping[str, tuple[str, Any, int, str, str | None, str]] = {
    "S04-half": ("/predict", text(rf"a\ud800{MARK}"), 422, "half_character", "text", "at 1"),
    "S04-half-of-many": ("/predict/batch", rb'{"texts": ["a", "\udfff"]}', 422, "half_character", "texts[1]", ""),
    "S04-half-explained": ("/explain", text(r"\ud800"), 422, "half_character", "text", ""),
    "S04-half-label": (
        *("/explain", rb'{"text": "a", "label": "\ud800"}'),
        *(422, "half_character", "label", ""),
    ),
    "S04-half-inputs": ("/", rb'{"inputs": "\ud800"}', 422, "half_character", "inputs", ""),
    "S04-half-instances": (
        *("/invocations", rb'{"instances": ["\ud800"]}'),
        *(422, "half_character", "instances[0]", ""),
    ),
    "S04-half-key": ("/predict", rb'{"\ud800": "a", "text": "b"}', 422, "unknown_field", r"\ud800", ""),
    "S04-half-id": (INFER, {**tensor(["a"]), "id": "\ud800"}, 422, "half_character", "id", ""),
    "S05-null": ("/predict", {"text": None}, 422, "wrong_kind", "text", "is null; text is wanted"),
    "S05-number": ("/predict", {"text": 3}, 422, "wrong_kind", "text", "is a whole number"),
    "S05-point": ("/predict", {"text": 0.5}, 422, "wrong_kind", "text", "is a number with a point"),
    "S05-true": ("/predict", {"text": True}, 422, "wrong_kind", "text", "is true or false"),
    "S05-object": ("/predict", {"text": {MARK: 1}}, 422, "wrong_kind", "text", "is an object"),
    "S05-list": ("/predict", {"text": [MARK]}, 422, "wrong_kind", "text", "is a list"),
    "S05-one-of-many": ("/predict/batch", {"texts": ["a", MARK, None]}, 422, "wrong_kind", "texts[2]", "is null"),
    "S05-text-for-list": ("/predict/batch", {"texts": MARK}, 422, "wrong_kind", "texts", "is text; a list"),
    "S05-explain": ("/explain", {"text": [MARK]}, 422, "wrong_kind", "text", "is a list"),
    "S05-label": ("/explain", {"text": "a", "label": 1}, 422, "wrong_kind", "label", "is a whole number"),
    "S05-inputs": ("/", {"inputs": ["a", 7]}, 422, "wrong_kind", "inputs[1]", "is a whole number"),
    "S05-instances": ("/invocations", {"instances": ["a", None]}, 422, "wrong_kind", "instances[1]", "is null"),
    "S05-records": (
        *("/invocations", {"dataframe_records": [{"text": "a"}, {"text": False}]}),
        *(422, "wrong_kind", "dataframe_records[1].text", ""),
    ),
    "S05-tensor": (INFER, tensor(["a", "b", 1.5]), 422, "wrong_kind", "inputs[0].data[2]", ""),
    "S06-no-texts": ("/predict/batch", {"texts": []}, 422, "empty_list", "texts", "one text or more"),
    "S06-no-inputs": ("/", {"inputs": []}, 422, "empty_list", "inputs", ""),
    "S06-no-instances": ("/invocations", {"instances": []}, 422, "empty_list", "instances", ""),
    "S06-no-data": (INFER, tensor([]), 422, "empty_list", "inputs[0].data", ""),
    "S07-unknown": ("/predict", {"txt": MARK}, 422, "unknown_field", "txt", "did you mean 'text'?"),
    "S07-more": ("/predict", {"text": "a", MARK: 1}, 422, "unknown_field", MARK, "there are text, text_pair"),
    "S07-missing": ("/predict", {}, 422, "missing_field", "text", "is wanted and not there"),
    "S07-pair": ("/predict", {"text": "a", "text_pair": MARK}, 422, "no_pair_wanted", "text_pair", "leave out"),
    "S07-batch": ("/predict/batch", {"text": "a"}, 422, "unknown_field", "text", "did you mean 'texts'?"),
    "S07-label": ("/explain", {"text": "a", "label": MARK}, 422, "wrong_value", "label", "there are neg, pos"),
    "S07-large-label": (
        "/explain",
        {"text": "a", "label": "neg" * 300_000},
        422,
        "wrong_value",
        "label",
        "there are neg",
    ),
    "S07-parameter": (
        *("/", {"inputs": "a", "parameters": {"topk": 1}}),
        *(422, "unknown_field", "parameters.topk", "did you mean 'top_k'?"),
    ),
    "S07-two-forms": ("/invocations", {"inputs": ["a"], "instances": ["a"]}, 422, "wrong_form", None, "exactly one"),
    "S07-tensor": (INFER, {**tensor(["a"]), MARK: 1}, 422, "unknown_field", MARK, ""),
    "S08-texts": ("/predict/batch", {"texts": [MARK] * 10_000}, 413, "too_many_texts", "texts", "at most 64"),
    "S08-just-one": ("/predict/batch", {"texts": ["a"] * 65}, 413, "too_many_texts", "texts", "at most 64"),
    "S08-inputs": ("/", {"inputs": [MARK] * 10_000}, 413, "too_many_texts", "inputs", "at most 64"),
    "S08-instances": ("/invocations", {"instances": ["a"] * 10_000}, 413, "too_many_texts", "instances", "at most 64"),
    "S08-data": (INFER, tensor(["a"] * 10_000), 413, "too_many_texts", "inputs[0].data", "at most 64"),
}

# Of the body, which is JSON all the same: what its headers say.
KINDS: Mapping[str, tuple[str, bytes, str]] = {
    "S02-none": ("", PLAIN, "not_json_type"),
    "S02-text": ("Content-Type: text/plain\r\n", PLAIN, "not_json_type"),
    "S02-form": ("Content-Type: application/x-www-form-urlencoded\r\n", b"text=a", "not_json_type"),
    "S02-parts": ("Content-Type: multipart/form-data; boundary=b\r\n", b"--b--\r\n", "not_json_type"),
    "S02-lines": ("Content-Type: application/jsonl\r\n", PLAIN, "not_json_type"),
    "S02-latin-1": ("Content-Type: application/json; charset=latin-1\r\n", PLAIN, "not_json_type"),
    "S02-nonsense": (f"Content-Type: ;;={MARK};\r\n", PLAIN, "not_json_type"),
    "S02-gzip": (f"{JSON}Content-Encoding: gzip\r\n", gzip.compress(PLAIN), "encoded_body"),
    "S02-no-gzip": (f"{JSON}Content-Encoding: gzip\r\n", PLAIN, "encoded_body"),
    "S02-unknown-encoding": (f"{JSON}Content-Encoding: {MARK}\r\n", PLAIN, "encoded_body"),
}

# What is odd and answered all the same: the body, and what the answer says of `empty`.
ACCEPTED: Mapping[str, tuple[bytes, bool]] = {
    "S04-mark": (codecs.BOM_UTF8 + PLAIN, False),
    "S04-nul": (text(r"A lovely \u0000 film."), False),
    "S04-pair-of-halves": (text(r"\ud83d\ude00 lovely"), False),
    "S04-not-a-character": (text("lovely \uffff film"), False),
    "S06-empty": (text(""), True),
    "S06-spaces": (text("   "), True),
    "S06-all-kinds-of-blanks": (text(r"\t\r\n\u00a0\u2003\u200b\ufeff"), True),
    "S04-controls": (text(r"\u0000\u0001\u001b"), False),
    "S02-charset": (PLAIN, False),
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_what_is_not_json_is_refused_with_its_place(server: Running, name: str) -> None:
    """Every route answers 400, says where the fault is, and stays with the one shape that errors have."""
    body, parts = NOT_JSON[name]
    for path in ASKING:
        reply = server.post(path, body)
        assert reply.status == 400, reply
        assert reply.json.keys() == {"code", "message", "field", "request_id"}
        assert reply.json["code"] in ("not_json", "not_an_object")
        assert reply.headers["x-request-id"] == reply.json["request_id"]
        assert_says(reply.json["message"], parts)


@pytest.mark.parametrize("name", SHAPES)
def test_json_of_another_shape_is_refused_with_its_field(server: Running, name: str) -> None:
    """The refusal has a status, a code and the field, and nothing of the text."""
    path, body, status, code, field, says = SHAPES[name]
    reply = server.post(path, body)
    assert (reply.status, reply.json["code"], reply.json["field"]) == (status, code, field)
    assert says in reply.json["message"]
    assert MARK not in reply.json["message"] or field == MARK


@pytest.mark.parametrize("name", KINDS)
def test_what_is_not_said_to_be_json_is_refused(server: Running, name: str) -> None:
    """415 on every route, whatever the body is: another page's form cannot ask the model."""
    headers, body, code = KINDS[name]
    for path in ASKING:
        reply = server.post(path, body, headers)
        assert (reply.status, reply.json["code"]) == (415, code)


@pytest.mark.parametrize("name", ACCEPTED)
def test_odd_texts_are_answered(server: Running, name: str) -> None:
    """A byte order mark, NUL and texts without anything to see are answered, the latter as empty."""
    body, empty = ACCEPTED[name]
    kind = 'Content-Type: Application/JSON ; charset="UTF-8"\r\n' if name == "S02-charset" else JSON
    reply = server.post("/predict", body, kind)
    assert reply.status == 200
    assert reply.json["empty"] is empty
    assert sum(reply.json["scores"].values()) == pytest.approx(1, abs=1e-5)


def test_empty_texts_among_others_are_told_one_by_one(server: Running) -> None:
    """S06: in a batch each text has its own `empty`."""
    reply = server.post("/predict/batch", {"texts": ["", "A lovely film.", " \n"]})
    assert [one["empty"] for one in json.loads(reply.body)["predictions"]] == [True, False, True]


def test_every_row_of_the_catalogue_is_tested() -> None:
    """28 rows of 28 are tested here or in a file beside this one."""
    here = [*NOT_JSON, *SHAPES, *KINDS, *ACCEPTED]
    assert_all_rows("S", 28, here, ELSEWHERE, {})
