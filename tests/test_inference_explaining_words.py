"""Words and their places, in many scripts."""

# ruff: noqa: RUF001 the letters of other scripts are the point
from __future__ import annotations

import pytest

from forgeml.inference.explaining.words import Words

SPLIT = {
    "English": ("It's not good, really?!", ["It's", "not", "good", ",", "really", "?!"]),
    "quotes and brackets": ("'tis (a) \u201cb\u201d", ["'", "tis", "(", "a", ")", "\u201c", "b", "\u201d"]),
    "numbers": ("1,000.5 or 3.", ["1,000.5", "or", "3", "."]),
    "dots and hyphens": ("well-made... film", ["well", "-", "made", "...", "film"]),
    "accents apart": ("cafe\u0301 noir", ["cafe\u0301", "noir"]),
    "Cyrillic": ("Очень хорошо!", ["Очень", "хорошо", "!"]),
    "Arabic": ("فيلم جميل\u060c جدا", ["فيلم", "جميل", "\u060c", "جدا"]),
    "Persian": ("می\u200cخواهم", ["می\u200cخواهم"]),
    "Hindi": ("फिल्म बहुत अच्छी\u0964", ["फिल्म", "बहुत", "अच्छी", "\u0964"]),
    "Korean": ("한국 영화", ["한국", "영화"]),
    "Chinese": ("很好\uff0c电影\u3002", ["很", "好", "\uff0c", "电", "影", "\u3002"]),
    "Japanese": ("いいコンピューターだった", ["い", "い", "コンピューター", "だっ", "た"]),
    "Thai": ("เรื่องดี", ["เรื่", "อ", "ง", "ดี"]),
    "Khmer": ("ខ្មែរ", ["ខ្មែ", "រ"]),
    "emoji": ("so👩‍👩‍👧‍👦👍🏽 ❤️🇩🇪🇫🇷", ["so", "👩‍👩‍👧‍👦", "👍🏽", "❤️", "🇩🇪", "🇫🇷"]),
    "keys and flags of tags": ("1️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿", ["1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]),
    "control characters": ("a\x00b\u200bc\ufeffd", ["a", "b", "c", "d"]),
    "a mark alone": (" \u0301 ", ["\u0301"]),
    "joiner alone": ("\u200d", ["\u200d"]),
    "empty": ("", []),
    "blanks": (" \t\n", []),
}


@pytest.mark.parametrize("kind", SPLIT)
def test_words_of_many_scripts(kind: str) -> None:
    """Punctuation stands apart, scripts without blanks are cut into letters, and no emoji is cut."""
    text, expected = SPLIT[kind]
    words = Words.of(text)
    assert [words[place] for place in range(len(words))] == expected


@pytest.mark.parametrize("kind", SPLIT)
def test_spans_and_what_is_between_rebuild_the_text(kind: str) -> None:
    """Nothing but blanks and characters that do not show stands outside the words, and nothing stands twice."""
    text = f"  {SPLIT[kind][0]}\n"
    words, rebuilt, reached = Words.of(text), "", 0
    for start, end in words.spans:
        assert reached <= start < end
        assert not any(character.isalnum() for character in text[reached:start])
        rebuilt += text[reached:start] + text[start:end]
        reached = end
    assert rebuilt + text[reached:] == text
    assert words.keeping([True] * len(words)) == text


def test_left_out_words_take_their_blank_with_them() -> None:
    """What stays reads as if the word had never been there."""
    words = Words.of("A good,  dull film.\n")
    assert words.keeping([True, False, True, True, True, True]) == "A,  dull film."
    assert words.keeping([False, True, True, True, True, True]) == "good,  dull film."
    assert words.keeping([False] * 6) == ""


def test_what_punctuation_held_apart_stays_apart() -> None:
    """Without the dots or the hyphen two words do not become a third one; Chinese characters may meet."""
    assert Words.of("great...but").keeping([True, False, True]) == "great but"
    assert Words.of("a-b-c").keeping([True, False, False, False, True]) == "a c"
    assert Words.of("很\uff0c好").keeping([True, False, True]) == "很好"


def test_long_words_take_no_long_time() -> None:
    """A word of a million letters, and a hundred thousand words, are split at once."""
    assert len(Words.of("x" * 1_000_000)) == 1
    assert len(Words.of("good " * 100_000)) == 100_000
