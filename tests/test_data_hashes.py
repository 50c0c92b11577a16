"""Texts by hash."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from forgeml.data import cache, hashes
from forgeml.data.hashes import (
    EMPTY,
    FILE,
    fingerprint_labels,
    fingerprint_texts,
    hash_text,
    hash_texts,
    normalize,
)
from forgeml.records import ColumnTexts, Split
from tiny import listed

WORDS = [f"Text {number}" for number in range(20)]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own for each test."""
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")


@pytest.mark.parametrize(
    "text",
    [
        "A good film",
        "a GOOD film",
        "  a good\tfilm\n",
        "a\u00a0good\u3000film",
        "a go\u200bod film\ufeff",
        "\u200ea good\u2060 film",
        "a good\r\nfilm",
    ],
)
def test_case_white_space_and_invisible_characters_make_no_difference(text: str) -> None:
    """Texts that look the same have the same hash."""
    assert normalize(text) == "a good film"
    assert hash_text(text) == hash_text("a good film")


@pytest.mark.parametrize("text", ["a good film.", "agood film", "a good films", "a good fílm", "", "film good a"])
def test_other_texts_have_other_hashes(text: str) -> None:
    """What can be seen makes a difference."""
    assert hash_text(text) != hash_text("a good film")


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u200b", "\ufeff \u00a0"])
def test_texts_that_hold_nothing_are_empty(text: str) -> None:
    """Nothing to be seen is nothing."""
    assert hash_text(text) == EMPTY


def test_both_texts_of_a_pair_count() -> None:
    """A pair is not its texts joined, nor the other way round, nor the first alone."""
    variants = [("a", "b"), ("b", "a"), ("a b", ""), ("a", ""), ("", "a"), ("ab", "")]
    assert len({hash_text(*pair) for pair in variants}) == len(variants)
    assert hash_text(" A", "B ") == hash_text("a", "b")


def test_hashes_are_those_of_the_texts() -> None:
    """One for each text, in order, and the progress is told."""
    told: list[int] = []
    texts = listed(WORDS * 100, WORDS[::-1] * 100)
    found = hash_texts(texts, "print", told.append)
    assert found.tolist() == [hash_text(*pair) for pair in zip(WORDS * 100, WORDS[::-1] * 100, strict=True)]
    assert found.dtype == np.uint64
    assert told == [1000, 2000]
    assert hash_texts(listed([]), "none").tolist() == []


def test_hashes_of_many_texts_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are worked out once for each fingerprint; a damaged file is passed over, and few texts are not kept."""
    texts = listed(WORDS)
    wanted = [hash_text(word) for word in WORDS]
    assert hash_texts(texts, "few").tolist() == wanted
    assert not list(tmp_path.rglob(FILE))
    monkeypatch.setattr(hashes, "WORTH_KEEPING", 10)
    told: list[int] = []
    for _ in range(2):
        assert hash_texts(texts, "many", told.append).tolist() == wanted
    assert told == [20]
    [file] = tmp_path.rglob(FILE)
    short = io.BytesIO()
    np.save(short, np.zeros(3, np.uint64))
    for damage in (b"", b"no array", file.read_bytes()[:-8], short.getvalue()):
        file.write_bytes(damage)
        assert hash_texts(texts, "many").tolist() == wanted
        assert not file.exists()
        assert hash_texts(texts, "many").tolist() == wanted
        assert file.exists()


def _chunked(words: list[str], chunk: int, kind: pa.DataType | None = None) -> ColumnTexts:
    parts = [pa.array(words[start : start + chunk], kind) for start in range(0, len(words), chunk)]
    return ColumnTexts((pa.chunked_array(parts),), None, np.arange(len(words)))


def test_fingerprint_does_not_show_how_arrow_keeps_the_texts() -> None:
    """Chunks, Arrow's kinds of string and unused rows make no difference."""
    words = WORDS * 101
    prints = {fingerprint_texts(_chunked(words, chunk)) for chunk in (1, 7, 1000, 5000)}
    prints |= {fingerprint_texts(_chunked(words, 7, kind)) for kind in (pa.string(), pa.large_string())}
    told: list[int] = []
    prints.add(fingerprint_texts(listed(words), told.append))
    assert told == [1000, 2000, 2020]
    more = _chunked(["unused", *words], 9)
    prints.add(fingerprint_texts(ColumnTexts(more.columns, None, more.rows[1:])))
    assert len(prints) == 1


def test_fingerprint_is_of_the_exact_texts() -> None:
    """Any change of a text, of the order, of where one ends, and of what is a pair gives another."""
    variants = [
        listed(["ab", "c"]),
        listed(["a", "bc"]),
        listed(["ab", "C"]),
        listed(["ab", "c "]),
        listed(["c", "ab"]),
        listed(["ab"]),
        listed(["ab", "c", ""]),
        listed(["ab"], ["c"]),
        listed(["ab", "c"], ["", ""]),
    ]
    assert len({fingerprint_texts(texts) for texts in variants}) == len(variants)


def test_fingerprint_of_labels() -> None:
    """Labels of any kind, and not the order of bytes of the machine."""
    texts = listed(["a", "b"])
    kinds = [np.array([0, 1]), np.array([1, 0]), np.array([[0, 1], [1, 0]], np.uint8), np.array([0.5, 1], np.float32)]
    prints = [fingerprint_labels(Split("train", texts, labels)) for labels in kinds]
    assert len(set(prints)) == len(kinds)
    swapped = np.array([0, 1], np.dtype(np.int64).newbyteorder(">"))
    assert fingerprint_labels(Split("train", texts, swapped)) == prints[0]
    across = np.asfortranarray(kinds[2])
    assert fingerprint_labels(Split("train", texts, across)) == prints[2]
