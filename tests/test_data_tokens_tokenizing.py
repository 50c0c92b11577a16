"""A tokenizer taken apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import processors
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from forgeml.data.tokens.tokenizing import describe, learn_template, tokenize
from forgeml.errors import ModelError
from tokenizers_made import MAKERS, SPECIALS, bare

TEXTS = ["the river", "", "</s> a"]


@pytest.fixture
def bert(tiny_model: Path) -> PreTrainedTokenizerBase:
    """That of the tiny model."""
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tiny_model)
    return loaded


@pytest.mark.parametrize(
    ("kind", "single", "pair"),
    [
        ("byte_level", ("<s>|</s>", "0|0"), ("<s>|</s></s>|</s>", "0|00|0")),
        ("bare", ("|", "|"), ("||", "||")),
        ("special_last", ("|<sep><cls>", "|02"), ("|<sep>|<sep><cls>", "|0|12")),
        ("in_python", ("|</s>", "|0"), ("|</s>|</s>", "|0|0")),
    ],
)
def test_special_tokens_are_learnt(kind: str, single: tuple[str, str], pair: tuple[str, str]) -> None:
    """The tokens before, between and after the texts are found, and their types, for single texts and for pairs."""
    tokenizer = MAKERS[kind]()
    for pairs, (tokens, types) in enumerate((single, pair)):
        found = learn_template(tokenizer, bool(pairs))
        written = "|".join("".join(tokenizer.convert_ids_to_tokens(list(ids))) for ids in found.around)
        assert written == tokens
        assert "|".join("".join(map(str, one)) for one in found.around_types) == types
        assert found.specials == sum(map(len, found.around))
        assert found.has_types == any(character in "12" for character in types)
        assert len(found.text_types) == 1 + pairs


def test_types_are_those_of_models_that_take_them(bert: PreTrainedTokenizerBase) -> None:
    """A pair's second text has type 1, but not for a model without token types."""
    assert learn_template(bert, pairs=True).text_types == (0, 1)
    bert.model_input_names = ["input_ids", "attention_mask"]
    assert not learn_template(bert, pairs=True).has_types


def test_tokenizer_that_swaps_the_texts_is_refused() -> None:
    """Where the pieces could not be put together rightly there is an error, not a wrong piece."""
    swapping = bare()
    swapping.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <sep>", pair="$B <sep> $A", special_tokens=[("<sep>", SPECIALS.index("<sep>"))]
    )
    assert learn_template(swapping, pairs=False).specials == 1
    with pytest.raises(ModelError, match="does not set the same special tokens"):
        learn_template(swapping, pairs=True)


@pytest.mark.parametrize("kind", MAKERS)
def test_ids_have_no_special_tokens(kind: str) -> None:
    """The bare ids are those that the tokenizer gives without special tokens, text after text."""
    tokenizer = MAKERS[kind]()
    ids, lengths = tokenize(tokenizer, TEXTS)
    expected = tokenizer(TEXTS, add_special_tokens=False)["input_ids"]
    assert lengths.tolist() == list(map(len, expected))
    assert ids.tolist() == [one for text in expected for one in text]
    assert [array.tolist() for array in tokenize(tokenizer, [])] == [[], []]


def test_state_of_the_tokenizer_is_neither_used_nor_changed(bert: PreTrainedTokenizerBase) -> None:
    """What it would cut and pad by itself does not matter, and stays as it was."""
    expected = tokenize(bert, TEXTS)[0].tolist()
    bert.backend_tokenizer.enable_padding(length=9)
    bert.backend_tokenizer.enable_truncation(4)
    before = bert.backend_tokenizer.padding, bert.backend_tokenizer.truncation
    assert tokenize(bert, TEXTS)[0].tolist() == expected
    assert (bert.backend_tokenizer.padding, bert.backend_tokenizer.truncation) == before


def test_tokens_added_later_are_known(bert: PreTrainedTokenizerBase) -> None:
    """A tokenizer that is changed after the first text is read anew, and is described differently."""
    tokenize(bert, ["newword"])
    before = describe(bert)
    bert.add_tokens(["newword"])
    assert tokenize(bert, ["newword"])[0].tolist() == [bert.convert_tokens_to_ids("newword")]
    assert describe(bert) != before
