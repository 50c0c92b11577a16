"""JSON as the standard has it, and no more: what Python's reader lets pass beyond that is refused, with its place."""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, NoReturn

from forgeml.serving.refusals import Refusal

CODE = "not_json"

LONGEST_NAME = 40
"""Characters shown of a key: a client may have put anything there."""

TOKENS = re.compile(r'"(?:[^"\\]++|\\.)*+"|-?(?:Infinity|NaN|\d[\d.eE+-]*+)', re.DOTALL)
"""Strings and numbers, as far as they can be told apart from all else."""
BYTE_ORDER_MARK = "\ufeff"


class _NumberError(ValueError):
    """A number that JSON does not have, or that is beyond all floats; holds it as it is written."""


def parse_json(body: bytes) -> Any:  # noqa: ANN401 whatever JSON can hold
    """The value that the body stands for.

    Args:
        body: UTF-8, with a byte order mark or without.

    Raises:
        Refusal: 400: not UTF-8, not JSON, a number that is none or too large, a key twice in one object, or too deep.
    """
    text = _decoded(body)
    if not text.strip():
        raise _refusal("the body is empty; JSON is wanted")
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _refusal(f"{error.msg} (line {error.lineno}, column {error.colno})") from error
    except _NumberError as error:
        written = str(error)
        where = _place_of(text, lambda token: token.startswith(written))
        raise _refusal(f"{shown(written)} is no number that JSON can hold ({where})") from error
    except RecursionError as error:
        raise _refusal("lists and objects are nested too deep") from error
    except ValueError as error:
        # Python's own limit on the digits of whole numbers.
        most = sys.get_int_max_str_digits()
        where = _place_of(text, lambda token: len(token) > most and token.lstrip("-")[:most].isdecimal())
        raise _refusal(f"a number of more than {most:,} digits ({where})") from error


def render_json(value: Any) -> bytes:  # noqa: ANN401 whatever JSON can hold
    """The value as JSON in UTF-8, without blanks.

    Raises:
        ValueError: there is a number in it that is not finite.
    """
    return _ENCODER.encode(value).encode()


def shown(name: str) -> str:
    """A name that a client has chosen as it may stand in a message: short and printable."""
    short = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
    return repr(short)


def _decoded(body: bytes) -> str:
    encoding = json.detect_encoding(body)
    if encoding.startswith(("utf-16", "utf-32")):
        raise _refusal(f"the body is in {encoding[:6].upper()}; JSON is sent in UTF-8")
    try:
        return body.decode().removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        raise _refusal(f"the body is not UTF-8 at byte {error.start}, counted from 0") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise _refusal(f"the key {shown(twice)} stands twice in one object")
    return made


def _float(written: str) -> float:
    number = float(written)
    if math.isinf(number):
        raise _NumberError(written)
    return number


def _constant(written: str) -> NoReturn:
    raise _NumberError(written)


def _place_of(text: str, is_it: Callable[[str], bool]) -> str:
    """Line and column, counted from 1, of the first number that is meant. Digits in strings are no numbers."""
    start = next((token.start() for token in TOKENS.finditer(text) if is_it(token[0])), 0)
    return f"line {text.count(chr(10), 0, start) + 1}, column {start - text.rfind(chr(10), 0, start)}"


def _refusal(message: str) -> Refusal:
    return Refusal(400, CODE, message)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
