"""Long texts are cut before anything looks at them closely."""

from __future__ import annotations

from forgeml.records import ListedTexts
from forgeml.serving.answering.cutting import cut_texts


def test_short_texts_stay() -> None:
    """Texts within the limit are handed on as they are."""
    texts = ListedTexts(["a", "b" * 10])
    assert cut_texts(texts, 10, "start") == (texts, [False, False])


def test_the_part_that_is_read_stays() -> None:
    """What is kept of a long text is the part that the model reads, and the flag says that something is not there."""
    long = "a" * 6 + "b" * 6
    for reads, kept in (("start", "aaaaaabbbb"), ("end", "aaaabbbbbb"), ("both", "aaaa bbbbb")):
        texts, flags = cut_texts(ListedTexts(["short", long]), 10, reads)
        assert texts.firsts == ["short", kept]
        assert flags == [False, True]


def test_pairs_are_cut_each() -> None:
    """A pair of which either text is cut is told as cut."""
    texts, flags = cut_texts(ListedTexts(["a" * 11, "b", "c"], ["x", "y" * 11, "z"]), 10, "start")
    assert texts == ListedTexts(["a" * 10, "b", "c"], ["x", "y" * 10, "z"])
    assert flags == [True, True, False]


def test_no_part_is_longer_than_the_limit() -> None:
    """However small the limit, what is kept is within it."""
    for most in range(1, 9):
        for reads in ("start", "end", "both"):
            texts, _ = cut_texts(ListedTexts(["abcdefghij"]), most, reads)  # type: ignore[arg-type]
            assert len(texts.firsts[0]) <= most
