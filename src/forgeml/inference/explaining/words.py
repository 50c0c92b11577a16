"""Texts as words that can be left out, whatever the script, with the exact place of each."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

ALONE = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029"
    "\u3041-\u309f\u3105-\u312f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaadf\uf900-\ufaff"
    "\U00016fe0-\U00018cff\U0001b000-\U0001b16f\U00020000-\U0003fffd]"
)
"""Thai, Lao, Burmese, Khmer, Chinese and Hiragana, which set no blanks between words: letter by letter."""
KATAKANA = re.compile("[\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
BEFORE = frozenset("เแโใไເແໂໃໄ")
"""Vowels that are written before the consonant that they belong to."""
AFTER = frozenset("ะาำๅະາຳぁぃぅぇぉっゃゅょゎー")
"""Letters that belong to the one before them."""
STACKERS = frozenset("\u1039\u17d2")
"""Signs that set the next consonant under the one before."""
APOSTROPHES = frozenset("'\u2019\u02bc\u05f3\u05f4")
IN_NUMBERS = frozenset(".,\u066b\u066c")
REPEATED = frozenset("!?\u2026-\u2013\u2014*~=_^\u3002\uff01\uff1f\u061f\u06d4\u0964")
"""Signs of which a run is one word."""
INSIDE = frozenset("\u00ad\u200c\u2060") | frozenset(map(chr, range(0x1F3FB, 0x1F400)))
"""Signs that are no word of their own: hyphens that do not show, joiners, and the colours of skin."""
ZERO_WIDTH_JOINER = "\u200d"

WORD = re.compile(
    r"[wd][wdmj]*(?:(?:a(?=w)|(?<=d)n(?=d))[wd][wdmj]*)*"  # letters and digits, with don't and 1,000.5
    r"|b?c(?:sc|m|f|j)*"  # one letter of a script without blanks, with its vowels
    r"|k[kmf]*"
    r"|rr|em*(?:jem*)*"  # flags, and people that are joined into a family
    r"|[nt]+|[^ ][mj]*"
)
"""A word, over the kinds of its characters instead of the characters themselves."""


@dataclass(frozen=True)
class Words:
    """A text and where its words stand in it; between them is nothing but white space."""

    text: str
    spans: tuple[tuple[int, int], ...]
    """Start and end of each word, in characters."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Find the words: what stands between blanks, punctuation apart, and characters where there are no blanks."""
        kinds = text.translate({ord(character): _kind(character) for character in set(text)})
        return cls(text, tuple(found.span() for found in WORD.finditer(kinds)))

    def __len__(self) -> int:
        """Number of words."""
        return len(self.spans)

    def __getitem__(self, place: int) -> str:
        """A word as it stands in the text."""
        start, end = self.spans[place]
        return self.text[start:end]

    def keeping(self, kept: Sequence[bool] | NDArray[np.bool_]) -> str:
        """The text without some of its words, and without the white space in front of those.

        Args:
            kept: which words stay, shape (words,).
        """
        parts: list[str] = []
        before = reached = 0
        for keep, (start, end) in zip(kept, self.spans, strict=True):
            gap = self.text[before:start]
            before = end
            if not keep:
                continue
            # Two words that punctuation held apart must not become a third one.
            if not gap and reached < start and parts and self._would_grow(parts[-1][-1], self.text[start]):
                gap = " "
            parts += [gap if parts or not reached else "", self.text[start:end]]
            reached = end
        return "".join([*parts, self.text[before:]]).strip() if not all(kept) else self.text

    @staticmethod
    def _would_grow(last: str, first: str) -> bool:
        return last.isalnum() and first.isalnum() and not ALONE.match(first)


def _kind(character: str) -> str:
    """One letter that says how a character takes part in words; a blank for what stands between them."""
    for kind, members in _NAMED.items():
        if character in members:
            return kind
    if "\U0001f1e6" <= character <= "\U0001f1ff":
        return "r"
    if "\U000e0020" <= character <= "\U000e007f":
        return "m"
    category = unicodedata.category(character)
    if character.isspace() or category in ("Cc", "Cf", "Zs", "Zl", "Zp"):
        return " "
    if KATAKANA.match(character):
        return "k"
    if category[0] == "L" and ALONE.match(character):
        return "c"
    return _BY_CATEGORY.get(category) or _BY_CATEGORY.get(category[0], "e")


_NAMED = {
    "j": ZERO_WIDTH_JOINER,
    "m": INSIDE,
    "b": BEFORE,
    "f": AFTER,
    "s": STACKERS,
    "a": APOSTROPHES,
    "n": IN_NUMBERS,
    "t": REPEATED,
}
_BY_CATEGORY = {"L": "w", "M": "m", "Nd": "d", "N": "w", "So": "e", "S": "p", "P": "p"}
