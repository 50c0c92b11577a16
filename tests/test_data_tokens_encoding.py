"""Texts to token ids."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from forgeml.data import cache, texts
from forgeml.data.tokens import encoding as tokens
from forgeml.data.tokens.encoding import encode, encode_kept
from forgeml.errors import ConfigError
from forgeml.records import ColumnTexts, Cut, EncodedTexts
from tiny import NEUTRAL, listed
from tokenizers_made import MAKERS, made_texts

TEXTS = ["A good film.", "", "naïve 👩\u200d👩\u200d👧 שלום", "bad " * 50, "two\nlines", "x", "\0", "good " * 9, "dull"]
FIRST, SECOND = made_texts(200, 1), made_texts(200, 2)


@pytest.fixture(scope="module", params=["bert", *MAKERS])
def tokenizer(request: pytest.FixtureRequest, tiny_model: Path) -> PreTrainedTokenizerBase:
    """One of each kind."""
    if request.param == "bert":
        loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tiny_model)
        return loaded
    return MAKERS[request.param]()


@pytest.fixture
def bert(tiny_model: Path) -> PreTrainedTokenizerBase:
    """That of the tiny model."""
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tiny_model)
    return loaded


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the entries in the cache of this test."""
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "tokens"


def _pieces(encoded: EncodedTexts, values: np.ndarray | None = None) -> list[list[int]]:
    """Ids, or other values of the tokens, of each piece."""
    flat = encoded.ids if values is None else values
    return [flat[start:stop].tolist() for start, stop in itertools.pairwise(encoded.offsets)]


def _same(one: EncodedTexts, other: EncodedTexts) -> bool:
    """Whether all that they hold is equal."""
    names = EncodedTexts.__dataclass_fields__
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("max_length", [6, 9, 32, 2000])
@pytest.mark.parametrize("second", [None, SECOND], ids=["single", "pairs"])
def test_ids_are_those_of_the_library(
    second: list[str] | None,
    max_length: int,
    side: str,
    tokenizer: PreTrainedTokenizerBase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ids, token types and the count of texts that are cut are those of the library's own call."""
    monkeypatch.setattr(tokenizer, "truncation_side", side)
    encoded = encode(tokenizer, listed(FIRST, second), Cut(max_length))
    settings: dict[str, Any] = {"truncation": True, "max_length": max_length, "return_token_type_ids": True}
    expected = tokenizer(FIRST, second, **settings)
    # The one difference: a text without any token is padding.
    ids = [one or [encoded.pad_id] for one in expected["input_ids"]]
    if tokenizer.is_fast or second is None:
        assert _pieces(encoded) == ids
    whole = tokenizer(FIRST, second, truncation=False, verbose=False)["input_ids"]
    assert encoded.truncated == sum(len(one) > max_length for one in whole)
    types = [one or [0] for one in expected["token_type_ids"]]
    if "token_type_ids" in tokenizer.model_input_names and any(map(any, types)):
        assert encoded.types is not None
        assert (_pieces(encoded, encoded.types), encoded.types.dtype) == (types, np.uint8)
    else:
        assert encoded.types is None
    assert encoded.bounds is None
    assert (encoded.ids.dtype, encoded.offsets.dtype) == (np.int32, np.int64)


FORMS = {
    "list": listed(TEXTS),
    "rows": ColumnTexts(
        (pa.chunked_array([["before", *TEXTS[:4]], ["out"], TEXTS[4:]], pa.string()),),
        None,
        np.array([1, 2, 3, 4, 6, 7, 8, 9, 10]),
    ),
}


@pytest.mark.parametrize("characters", [1, 60, 10_000])
@pytest.mark.parametrize("at_once", [1, 2, 1000])
@pytest.mark.parametrize("form", FORMS)
def test_texts_do_not_depend_on_their_neighbours(
    form: str, at_once: int, characters: int, bert: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the texts come and however many are encoded at once, each has the ids that it has alone."""
    monkeypatch.setattr(texts, "TEXTS_AT_ONCE", at_once)
    monkeypatch.setattr(tokens, "CHARACTERS_AT_ONCE", characters)
    encoded = encode(bert, FORMS[form], Cut(12))
    assert len(encoded) == len(TEXTS)
    assert _pieces(encoded) == [bert(text, truncation=True, max_length=12)["input_ids"] for text in TEXTS]
    assert encoded.lengths.tolist() == list(map(len, _pieces(encoded)))
    assert encoded.pad_id == bert.pad_token_id
    double = encode(bert, ColumnTexts(FORMS[form].columns, FORMS[form].columns[0], FORMS[form].rows), Cut(12))
    assert _pieces(double) == bert(TEXTS, TEXTS, truncation=True, max_length=12)["input_ids"]


def test_texts_that_are_cut_are_counted(bert: PreTrainedTokenizerBase) -> None:
    """A text is counted when tokens are lost, and not when it fits exactly."""
    exact = "good " * 10
    encoded = encode(bert, listed([exact, exact + "film", "film", exact * 9]), Cut(12))
    assert encoded.truncated == 2
    assert encoded.lengths.tolist() == [12, 12, 3, 12]


def test_windows_cover_the_text(bert: PreTrainedTokenizerBase) -> None:
    """Each window has its special tokens and shares a quarter with the next one, and the last one is full."""
    text = " ".join(NEUTRAL.split()[:22])
    ids = bert(text, add_special_tokens=False)["input_ids"]
    encoded = encode(bert, listed([text, "film", ""]), Cut(10, "windows"))
    around = [bert.cls_token_id, bert.sep_token_id]
    starts = [0, 6, 12, 14]
    expected = [[around[0], *ids[start : start + 8], around[1]] for start in starts]
    assert _pieces(encoded)[:4] == expected
    assert encoded.bounds is not None
    assert (encoded.bounds.tolist(), encoded.truncated, len(encoded)) == ([0, 4, 5, 6], 0, 3)
    assert encoded.lengths.tolist() == [40, 3, 2]


@pytest.mark.parametrize("long_texts", ["truncate", "head_tail", "windows"])
def test_text_without_tokens_is_a_piece(long_texts: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """No piece is without a token, so that every text has logits."""
    for made in (listed(["", "film"]), listed(["", "film"], ["", ""])):
        assert min(map(len, _pieces(encode(tokenizer, made, Cut(8, long_texts))))) > 0


def test_no_texts_are_no_tokens(tokenizer: PreTrainedTokenizerBase, place: Path) -> None:
    """Nothing in, nothing out."""
    for nothing in (listed([]), listed([], [])):
        for encoded in (encode(tokenizer, nothing, Cut(12)), encode_kept(tokenizer, nothing, Cut(12), "")):
            found = (len(encoded), encoded.ids.tolist(), encoded.offsets.tolist(), encoded.truncated)
            assert found == (0, [], [0], 0)


def test_room_for_special_tokens_alone_is_refused(bert: PreTrainedTokenizerBase) -> None:
    """A length that holds no token of the texts is an error that names the shortest one."""
    assert encode(bert, listed(["film"], ["film"]), Cut(5)).truncated == 0
    with pytest.raises(ConfigError, match=r"4 tokens, of which 3 are special ones\n.*to 5 or more"):
        encode(bert, listed(["film"], ["film"]), Cut(4))


def test_progress_is_told_up_to_the_end(bert: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of texts done rises to all of them."""
    monkeypatch.setattr(texts, "TEXTS_AT_ONCE", 4)
    told: list[int] = []
    encode(bert, listed(TEXTS), Cut(12), told.append)
    assert told == [4, 8, 9]


def test_threads_may_share_a_tokenizer(bert: PreTrainedTokenizerBase) -> None:
    """Threads that encode at once get what they would alone, and how the tokenizer pads by itself stays as it was."""
    bert.backend_tokenizer.enable_padding(length=20)
    expected = encode(bert, listed(FIRST), Cut(12))
    before = bert.backend_tokenizer.padding

    def work(number: int) -> bool:
        return _same(encode(bert, listed(FIRST), Cut(12)), expected)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(40)))
    assert bert.backend_tokenizer.padding == before


@pytest.fixture(params=["truncate", "head_tail", "windows"])
def cut(request: pytest.FixtureRequest) -> Cut:
    """Each way of cutting."""
    return Cut(12, request.param)


@pytest.mark.parametrize("second", [None, SECOND], ids=["single", "pairs"])
def test_kept_tokens_are_those_of_encode(
    second: list[str] | None, cut: Cut, tokenizer: PreTrainedTokenizerBase, place: Path
) -> None:
    """Written and read back they are the same, and the second time nothing is tokenized and all is done at once."""
    made = listed(FIRST, second)
    told: list[int] = []
    first = encode_kept(tokenizer, made, cut, "f", told.append)
    assert told == [200]
    unreadable = ColumnTexts((pa.chunked_array([[1]]),), made.pair_column, made.rows)
    again = encode_kept(tokenizer, unreadable, cut, "f", told.append)
    assert told == [200, 200]
    assert _same(first, encode(tokenizer, made, cut))
    assert _same(again, first)
    assert len(list(place.iterdir())) == 1


def test_entries_are_told_apart(bert: PreTrainedTokenizerBase, tiny_model: Path, place: Path) -> None:
    """Other texts, another length, way of cutting, side, class or vocabulary have entries of their own."""
    other: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tiny_model)
    other.add_tokens(["newword"])
    left: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tiny_model)
    left.truncation_side = "left"
    made, pairs = listed(FIRST), listed(FIRST, SECOND)
    usual = (bert, made, Cut(12), "f")
    changes: list[tuple[PreTrainedTokenizerBase, ColumnTexts, Cut, str]] = [
        usual,
        (bert, made, Cut(12), "g"),
        (bert, made, Cut(13), "f"),
        (bert, made, Cut(12, "windows"), "f"),
        (bert, pairs, Cut(12), "f"),
        (other, made, Cut(12), "f"),
        (left, made, Cut(12), "f"),
        (MAKERS["in_python"](), made, Cut(12), "f"),
    ]
    for number, change in enumerate(changes, 1):
        encode_kept(*change)
        assert len(list(place.iterdir())) == number
    # How the tokenizer pads and cuts by itself does not matter, as it is not asked to.
    bert.backend_tokenizer.enable_padding(length=99)
    bert.backend_tokenizer.enable_truncation(5)
    encode_kept(*usual)
    assert len(list(place.iterdir())) == len(changes)


def _damage() -> Iterator[tuple[str, Callable[[Path], object]]]:
    for name in ("ids.npy", "types.npy", "offsets.npy", "bounds.npy", "about.json"):
        yield f"no {name}", lambda folder, name=name: (folder / name).unlink()
        yield f"short {name}", lambda folder, name=name: (folder / name).write_bytes((folder / name).read_bytes()[:-9])
        yield f"empty {name}", lambda folder, name=name: (folder / name).write_bytes(b"")
    yield "other ids", lambda folder: np.save(folder / "ids.npy", np.zeros(3, np.int32))
    yield "ids of another type", lambda folder: np.save(folder / "ids.npy", np.load(folder / "ids.npy").astype(float))
    yield "text for numbers", lambda folder: (folder / "about.json").write_text("[]")


DAMAGE = dict(_damage())


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_entry_is_built_again(damage: str, bert: PreTrainedTokenizerBase, place: Path) -> None:
    """Whatever is absent from an entry or too short, the answer is right and the entry is whole afterwards."""
    made, cut = listed(FIRST, SECOND), Cut(12, "windows")
    expected = encode(bert, made, cut)
    encode_kept(bert, made, cut, "f")
    (entry,) = place.iterdir()
    DAMAGE[damage](entry)
    told: list[int] = []
    assert _same(encode_kept(bert, made, cut, "f", told.append), expected)
    assert told == [200]
    assert _same(
        encode_kept(bert, ColumnTexts((pa.chunked_array([[1]]),), made.pair_column, made.rows), cut, "f"), expected
    )


def test_without_a_cache_texts_are_encoded(bert: PreTrainedTokenizerBase, place: Path) -> None:
    """Where nothing can be written the answer is that of `encode`."""
    place.parent.write_text("a file in the way")
    told: list[int] = []
    assert _same(encode_kept(bert, listed(FIRST), Cut(12), "f", told.append), encode(bert, listed(FIRST), Cut(12)))
    assert told == [200]


def test_stop_leaves_no_half_entry(bert: PreTrainedTokenizerBase, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an interrupt there is nothing of the entry, and the next run writes it."""
    monkeypatch.setattr(texts, "TEXTS_AT_ONCE", 50)

    def stop(done: int) -> None:
        if done == 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_kept(bert, listed(FIRST), Cut(12), "f", stop)
    assert list(place.iterdir()) == []
    assert len(encode_kept(bert, listed(FIRST), Cut(12), "f")) == 200
