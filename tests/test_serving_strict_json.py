"""JSON that is read strictly: what is refused, where it stands, and that nothing else can happen."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgeml.serving.refusals import Refusal
from forgeml.serving.strict_json import parse_json, render_json, shown
from wire_made import ALIKE, any_json

REFUSED = {
    "nothing": (b"", "empty"),
    "blanks": (b" \n\t", "empty"),
    "byte order mark alone": (b"\xef\xbb\xbf", "empty"),
    "a word": (b"text", "line 1, column 1"),
    "half an object": (b'{"text": "a"', "line 1, column 13"),
    "single quotes": (b'{\n  "text": "a",\n  \'more\': 1}', "line 3, column 3"),
    "a comma too many": (b'{"texts": ["a",]}', "line 1, column 16"),
    "two values": (b"{}\n{}", "line 2, column 1"),
    "a line break in a string": (b'{"text": "a\nb"}', "line 1, column 12"),
    "NaN": (b'{"note": "NaN",\n "top_k": NaN}', "'NaN' is no number that JSON can hold (line 2, column 11)"),
    "Infinity": (b"[Infinity]", "'Infinity' is no number that JSON can hold (line 1, column 2)"),
    "minus Infinity": (b"[1, -Infinity]", "'-Infinity' is no number that JSON can hold (line 1, column 5)"),
    "beyond floats": (b'["1e400", 1e4000, 1e400]', "'1e4000' is no number that JSON can hold (line 1, column 11)"),
    "5,000 digits": (b'["' + b"1" * 5000 + b'",\n-' + b"1" * 5000 + b"]", "more than 4,300 digits (line 2, column 1)"),
    "a key twice": (b'{"a": {"text": "secret", "text": "secret"}}', "the key 'text' stands twice in one object"),
    "a long key twice": (b'{"%b": 1, "%b": 2}' % (b"k" * 90, b"k" * 90), f"the key '{'k' * 40}…' stands"),
    "half a character as a key": (b'{"\\ud800": 1, "\\ud800": 2}', r"the key '\ud800' stands twice"),
    "Latin-1": ('{"text": "né"}'.encode("latin-1"), "not UTF-8 at byte 11"),
    "a character cut short": (b'\xef\xbb\xbf{"text": "\xe2\x82"}', "not UTF-8 at byte 13"),
    "half a character": (b'{"text": "\xed\xa0\x80"}', "not UTF-8 at byte 10"),
    "UTF-16": ('{"text": "a"}'.encode("utf-16"), "the body is in UTF-16"),
    "UTF-16 without a mark": ('{"text": "a"}'.encode("utf-16-be"), "the body is in UTF-16"),
    "UTF-32": ('{"text": "a"}'.encode("utf-32"), "the body is in UTF-32"),
    "200,000 lists": (b"[" * 200_000, "too deep"),
    "200,000 lists with their ends": (b"[" * 200_000 + b"]" * 200_000, "too deep"),
    "200,000 objects": (b'{"a":' * 200_000, "too deep"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_json_does_not_have_is_refused_with_its_place(name: str) -> None:
    """Every body that is no JSON gets status 400, and a message that says what is wrong and where."""
    body, said = REFUSED[name]
    with pytest.raises(Refusal) as caught:
        parse_json(body)
    assert (caught.value.status, caught.value.code, caught.value.field) == (400, "not_json", None)
    assert said in caught.value.message
    assert "secret" not in caught.value.message
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"text": "a"}', {"text": "a"}),
        (b'\xef\xbb\xbf{"text": "a"}', {"text": "a"}),
        (b'["\\u0000", "\\ud83d\\ude00", "\xf0\x9f\x98\x80"]', ["\0", "😀", "😀"]),
        (b'"\\ud800"', "\ud800"),
        (b'{"a": 1, "A": 2, "b": {"a": 1}}', {"a": 1, "A": 2, "b": {"a": 1}}),
        (b"[1e308, -0.0, 12345678901234567890]", [1e308, -0.0, 12345678901234567890]),
        (b" null ", None),
    ],
)
def test_json_is_read(body: bytes, value: object) -> None:
    """What JSON has is read, with or without a byte order mark."""
    assert parse_json(body) == value


@ALIKE
@given(st.binary() | st.text('[]{}":,\\NaInfinity0123.eE+- \n').map(str.encode))
def test_bytes_are_read_or_refused(body: bytes) -> None:
    """Whatever the bytes, there is a value or a refusal."""
    with contextlib.suppress(Refusal):
        json.dumps(parse_json(body))


@ALIKE
@given(any_json(("text", "inputs")))
def test_what_is_written_is_read_the_same(value: object) -> None:
    """A value comes back as it was, whether its writer escapes what is not ASCII or not."""
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [({"text": "né", "score": 0.5}, '{"text":"né","score":0.5}'), ([True, None, 1], "[true,null,1]")],
)
def test_answers_are_written_without_blanks_in_utf8(value: object, written: str) -> None:
    """Answers are short, and readable in every language."""
    assert render_json(value) == written.encode()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_not_written(number: float) -> None:
    """What a client could not read is not sent."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        render_json({"score": number})


def test_names_are_shown_short_and_printable() -> None:
    """A client's name goes into a message in quotes, cut, and without characters that no one can see."""
    assert shown("a" * 41) == f"'{'a' * 40}…'"
    assert shown("a\n\ud800\x1b") == r"'a\n\ud800\x1b'"


def test_large_bodies_are_read_fast() -> None:
    """A megabyte takes milliseconds, also where it is refused: no step looks at the whole body again and again."""
    texts = json.dumps({"texts": ["word " * 3000] * 64}).encode()
    objects = json.dumps([{"text": "a", "text_pair": "b"}] * 30_000).encode()
    broken = objects[:-1] + b",NaN]"
    keys = json.dumps({f"key {number}": 1 for number in range(60_000)}).encode()[:-1] + b',"key 9": 1}'
    start = time.perf_counter()
    parse_json(texts)
    parse_json(objects)
    for body in (broken, keys):
        with pytest.raises(Refusal):
            parse_json(body)
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize(
    "body", [b"[1e999a]", b"[NaNa]", b"[1e999.5]", b'{"text": Infinity1}', b"[-1e999e]", b"[" + b"1" * 5000 + b"a]"]
)
def test_bad_numbers_with_something_behind_them(body: bytes) -> None:
    """A number that is none is refused with its place also where what follows is no JSON either."""
    with pytest.raises(Refusal, match="line 1, column"):
        parse_json(body)


def test_a_long_bad_number_costs_little() -> None:
    """A million digits that make infinity are refused as fast as they are read, and nothing of them is kept."""
    before = time.process_time()
    for digit in b"123456":
        with pytest.raises(Refusal):
            parse_json(b"[" + bytes([digit]) * 1_000_000 + b".0]")
    assert time.process_time() - before < 3
