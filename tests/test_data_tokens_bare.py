"""A tokenizer without transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forgeml.data.tokens.bare import BareTokenizer
from forgeml.data.tokens.encoding import encode
from forgeml.data.tokens.tokenizing import facts_of, serialized
from forgeml.records import Cut, ListedTexts
from tokenizers_made import MAKERS, made_texts


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind != "in_python"])
@pytest.mark.parametrize("cut", [Cut(12), Cut(12, "windows"), Cut(12, "head_tail")], ids=lambda cut: cut.long_texts)
@pytest.mark.parametrize("settings", [{}, {"truncation_side": "left"}, {"split_special_tokens": True}], ids=str)
def test_bare_tokenizer_gives_the_same_ids(tmp_path: Path, kind: str, cut: Cut, settings: dict[str, object]) -> None:
    """What is written of a tokenizer of transformers gives its ids, types and padding, for texts and for pairs."""
    whole = MAKERS[kind](**settings)
    if whole.pad_token is None:
        whole.pad_token = whole.eos_token
    file = tmp_path / "tokenizer.json"
    file.write_text(serialized(whole), encoding="utf-8")
    bare = BareTokenizer.open(file, facts_of(whole))
    for seconds in (None, made_texts(60, seed=1)):
        texts = ListedTexts(made_texts(60, seed=0), seconds)
        expected, found = encode(whole, texts, cut), encode(bare, texts, cut)
        assert np.array_equal(found.ids, expected.ids)
        assert np.array_equal(found.offsets, expected.offsets)
        assert (found.pad_id, found.truncated) == (expected.pad_id, expected.truncated)
        assert (found.types is None) == (expected.types is None)
        assert found.types is None or np.array_equal(found.types, expected.types)


def test_padding_and_truncation_of_the_file_are_not_taken(tmp_path: Path) -> None:
    """A file may say how another program has cut and padded."""
    whole = MAKERS["byte_level"]()
    backend = whole.backend_tokenizer
    backend.enable_truncation(3)
    backend.enable_padding(length=50)
    backend.save(str(tmp_path / "tokenizer.json"))
    bare = BareTokenizer.open(tmp_path / "tokenizer.json", facts_of(whole))
    assert len(encode(bare, ListedTexts(["a b c d e f"]), Cut(64)).ids) == 13


def test_tokenizer_in_python_has_no_file() -> None:
    """It cannot be had without transformers."""
    assert serialized(MAKERS["in_python"]()) is None
