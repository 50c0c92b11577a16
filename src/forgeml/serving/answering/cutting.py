"""Long texts are cut before anything looks at them closely, so that no text takes the time of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from forgeml.records import ListedTexts

Reads = Literal["start", "end", "both"]
"""Which part of a text that is too long a model reads."""


def cut_texts(texts: ListedTexts, most: int, reads: Reads) -> tuple[ListedTexts, list[bool]]:
    """The texts, none of them longer than `most` characters, and for each, or each pair, whether it was cut.

    Args:
        texts: of a request.
        most: characters, as Python counts them.
        reads: which part the model will read.
    """
    if max(map(len, (*texts.firsts, *(texts.seconds or ())))) <= most:
        return texts, [False] * len(texts)
    flags = [len(text) > most for text in texts.firsts]
    if texts.seconds is not None:
        flags = [flag or len(second) > most for flag, second in zip(flags, texts.seconds, strict=True)]
    seconds = None if texts.seconds is None else cut_each(texts.seconds, most, reads)
    return ListedTexts(cut_each(texts.firsts, most, reads), seconds), flags


def cut_each(texts: Sequence[str], most: int, reads: Reads) -> list[str]:
    """Each text, or the part of it that is read, of up to `most` characters."""
    return [text if len(text) <= most else _part(text, most, reads) for text in texts]


def _part(text: str, most: int, reads: Reads) -> str:
    if reads == "start":
        return text[:most]
    if reads == "end":
        return text[-most:]
    head = (most - 1) // 2
    # A space between, so that no word arises that nobody has written.
    return f"{text[:head]} {text[len(text) - (most - 1 - head) :]}"
