"""What all formats check alike, and the refusals they share. A refusal tells kinds and names, never a text."""

from __future__ import annotations

from collections.abc import Collection
from types import NoneType
from typing import Any, TypeVar, cast

from forgeml.data.hashes import normalize
from forgeml.errors import nearest
from forgeml.records import ListedTexts
from forgeml.serving.asking import Facts
from forgeml.serving.limits import Limits
from forgeml.serving.refusals import Refusal
from forgeml.serving.strict_json import LONGEST_NAME, shown

KINDS = {dict: "an object", list: "a list", str: "text", NoneType: "null"}
KINDS |= {bool: "true or false", int: "a whole number", float: "a number with a point"}
"""What JSON can hold, in words. Python's own types come from `parse_json` alone, so there is no other."""

Kind = TypeVar("Kind", dict[str, Any], list[Any], str)

TEXT, PAIR = "text", "text_pair"
"""What most formats call the texts of a pair; a single text is the first."""

GLANCE = 64
"""Characters that show of nearly every text that it is not empty."""


def as_object(value: object, known: Collection[str], wanted: Collection[str] = (), at: str = "") -> dict[str, Any]:
    """The value, which is to be an object of known fields.

    Args:
        value: what was read from JSON.
        known: names of all fields that there may be.
        wanted: names of the fields that there must be.
        at: where it stands in the body; empty for the body itself.

    Raises:
        Refusal: 400: the body is something else. 422: another field, one missing, or something else than an object.
    """
    if not at and not isinstance(value, dict):
        raise Refusal(400, "not_an_object", f"the body is {KINDS[type(value)]}; an object is wanted")
    found = of_kind(value, dict, at)
    for name in found:
        if name not in known:
            raise _unknown(name, known, at)
    return with_fields(found, wanted, at)


def with_fields(found: dict[str, Any], wanted: Collection[str], at: str) -> dict[str, Any]:
    """The object, which is to have these fields.

    Raises:
        Refusal: 422: one is missing.
    """
    for name in wanted:
        if name not in found:
            raise Refusal(422, "missing_field", f"{below(at, name)} is wanted and not there", below(at, name))
    return found


def as_text(value: object, at: str) -> str:
    """The value, which is to be text that can be written in UTF-8.

    Raises:
        Refusal: 422: not text, or half of a character.
    """
    text = of_kind(value, str, at)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = f"{at} has half a character at {error.start} (a lone surrogate)"
        raise Refusal(422, "half_character", message, at) from error
    return text


def as_list(value: object, at: str, limits: Limits) -> list[Any]:
    """The value, which is to be a list of one to as many things as a request may have texts.

    Raises:
        Refusal: 413: more than that. 422: not a list, or an empty one.
    """
    found = of_kind(value, list, at)
    if not found:
        raise Refusal(422, "empty_list", f"{at} is an empty list; one text or more is wanted", at)
    if len(found) > limits.texts:
        message = f"{at} has {len(found):,} texts; at most {limits.texts:,} are read at once"
        raise Refusal(413, "too_many_texts", message, at)
    return found


def as_texts(value: object, at: str, limits: Limits) -> list[str]:
    """The value, which is to be a list of one or more texts.

    Raises:
        Refusal: 413: more than a request may have. 422: not a list of texts, or an empty one.
    """
    return [as_text(one, f"{at}[{place}]") for place, one in enumerate(as_list(value, at, limits))]


def rows_as_texts(rows: list[dict[str, Any]], at: str) -> ListedTexts:
    """The texts of objects with `text` and, if one of them has it, `text_pair`.

    Raises:
        Refusal: 422: a row has no text, or one has a second text and another has none.
    """
    names = (TEXT, PAIR) if any(PAIR in row for row in rows) else (TEXT,)
    columns = []
    for name in names:
        places = [f"{at}[{place}]" for place in range(len(rows))]
        full = [with_fields(row, (name,), here)[name] for row, here in zip(rows, places, strict=True)]
        columns.append([as_text(text, below(here, name)) for text, here in zip(full, places, strict=True)])
    return ListedTexts(*columns)


def of_kind(value: object, kind: type[Kind], at: str) -> Kind:
    """The value, which is to be of this kind of JSON.

    Raises:
        Refusal: 422: it is not.
    """
    if not isinstance(value, kind):
        raise Refusal(422, "wrong_kind", f"{at} is {KINDS[type(value)]}; {KINDS[kind]} is wanted", at)
    return value


def as_whole(value: object, at: str) -> int:
    """The value, which is to be a whole number; JSON makes no difference between 1 and 1.0.

    Raises:
        Refusal: 422: it is not.
    """
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    # In Python alone, true and false are numbers.
    if not whole or isinstance(value, bool):
        raise Refusal(422, "wrong_kind", f"{at} is {KINDS[type(value)]}; a whole number is wanted", at)
    return int(cast(float, value))


def check_pairs(texts: ListedTexts, facts: Facts, at: str) -> ListedTexts:
    """The texts, which are to be as many second ones as first ones, and pairs if the model reads pairs.

    Args:
        texts: of the request.
        facts: of the model.
        at: where the second texts stand, or would.

    Raises:
        Refusal: 422: they are not.
    """
    if texts.seconds is not None and len(texts.seconds) != len(texts.firsts):
        message = f"{at}: {len(texts.firsts)} first texts and {len(texts.seconds)} second ones; each has its own"
        raise Refusal(422, "wrong_length", message, at)
    if facts.pairs is True and not texts.pairs:
        raise Refusal(422, "pair_wanted", f"this model reads pairs of texts; {at} is wanted and not there", at)
    if facts.pairs is False and texts.pairs:
        raise Refusal(422, "no_pair_wanted", f"this model reads single texts; leave out {at}", at)
    return texts


def is_empty(texts: ListedTexts, place: int) -> bool:
    """Whether the text, or both texts of the pair, hold nothing to be seen."""
    both = [texts.firsts[place], texts.seconds[place] if texts.seconds is not None else ""]
    return not any(normalize(text[:GLANCE]) or normalize(text) for text in both)


def as_one_of(value: object, choices: Collection[str], at: str) -> str:
    """The value, which is to be one of these words.

    Raises:
        Refusal: 422: it is not.
    """
    word = as_text(value, at)
    if word not in choices:
        near = nearest(word[:LONGEST_NAME], choices)
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(choices)}"
        raise Refusal(422, "wrong_value", f"{at} has a value that is not known; {hint}", at)
    return word


def below(at: str, name: str) -> str:
    """Where a field of the object stands that is there."""
    return f"{at}.{name}" if at else name


def _unknown(name: str, known: Collection[str], at: str) -> Refusal:
    near = nearest(name[:LONGEST_NAME], known)
    hint = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
    place = f" in {at}" if at else ""
    return Refusal(422, "unknown_field", f"unknown field {shown(name)}{place}; {hint}", below(at, shown(name)[1:-1]))
