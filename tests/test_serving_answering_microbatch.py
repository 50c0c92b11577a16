"""The thread that the model works in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from forgeml.batch import Batch
from forgeml.data.tokens.encoding import Encoder
from forgeml.inference.classifier import Classifier
from forgeml.model.logits import Logits
from forgeml.records import ListedTexts
from forgeml.serving.answering.microbatch import ClosedError, Microbatcher, UnreadableError
from forgeml.serving.limits import Limits

TEXTS = ["A lovely film.", "Boring and bad.", "A good " * 30 + "end", "", "wonderful", "awful " * 90]


class _Watched:
    """A classifier whose batches are counted, held up, or spoilt."""

    def __init__(self, folder: Path, spoil: Callable[[Batch, Logits], Logits] = lambda batch, logits: logits) -> None:
        self._inner, self._spoil = Classifier.from_pretrained(folder), spoil
        self.batches: list[int] = []
        self.go = threading.Event()
        self.go.set()

    def encoder(self, pairs: bool) -> Encoder:
        return self._inner.encoder(pairs)

    def forward(self, batch: Batch) -> Logits:
        self.go.wait(60)
        self.batches.append(len(batch.indexes))
        return self._spoil(batch, self._inner.forward(batch))


async def test_answers_are_those_of_the_classifier(trained: Path) -> None:
    """Texts that many requests ask about at once have the logits that they have alone, and each request its own."""
    classifier = Classifier.from_pretrained(trained / "best_model")
    batcher = Microbatcher(classifier, Limits())
    asked = [ListedTexts([TEXTS[(i + j) % 6] for j in range(i % 4 + 1)]) for i in range(40)]
    readings = await asyncio.gather(*map(batcher.submit, asked))
    for texts, reading in zip(asked, readings, strict=True):
        np.testing.assert_allclose(reading.logits, classifier.logits(texts), atol=1e-5)
        assert list(reading.lost) == classifier.encoder(pairs=False).encode(texts).lost.tolist()
    batcher.close()


async def test_what_waits_is_read_together(trained: Path) -> None:
    """While the model is at work, texts gather, and are then read in as few batches as their lengths allow."""
    model = _Watched(trained / "best_model")
    batcher = Microbatcher(model, Limits(batch_texts=16))
    model.go.clear()
    first = batcher.submit(ListedTexts(["wonderful"]))
    await asyncio.sleep(0.2)
    rest = [batcher.submit(ListedTexts(["a film"])) for _ in range(20)]
    model.go.set()
    await asyncio.gather(first, *rest)
    assert model.batches == [1, 16, 4]
    batcher.close()


async def test_nobody_costs_nothing(trained: Path) -> None:
    """Texts whose request is cancelled before their turn are never read."""
    model = _Watched(trained / "best_model")
    batcher = Microbatcher(model, Limits())
    model.go.clear()
    first = batcher.submit(ListedTexts(["wonderful"]))
    await asyncio.sleep(0.2)
    gone = batcher.submit(ListedTexts(["a film"] * 5))
    gone.cancel()
    model.go.set()
    await first
    await batcher.submit(ListedTexts(["the end"]))
    assert model.batches == [1, 1]
    batcher.close()


def _poison(batch: Batch, logits: Logits) -> Logits:
    """Long texts are not a number; very long ones are an error."""
    if batch.attention_mask.sum(axis=1).max() > 60:
        raise RuntimeError("index out of range")
    spoilt = logits.copy()
    spoilt[batch.attention_mask.sum(axis=1) > 30] = np.nan
    return spoilt


async def test_one_bad_text_costs_only_its_request(trained: Path) -> None:
    """Where the model fails over a text, its request fails, with the place of the text, and its batch mates do not."""
    batcher = Microbatcher(_Watched(trained / "best_model", _poison), Limits(batch_tokens=100_000))
    mates = [batcher.submit(ListedTexts(["wonderful " * 8])) for _ in range(6)]
    nan = batcher.submit(ListedTexts(["good", "film " * 35]))
    error = batcher.submit(ListedTexts(["film " * 80]))
    assert all(np.isfinite(reading.logits).all() for reading in await asyncio.gather(*mates))
    for bad, place, cause in ((nan, 1, ArithmeticError), (error, 0, RuntimeError)):
        with pytest.raises(UnreadableError) as caught:
            await bad
        assert (caught.value.place, type(caught.value.__cause__)) == (place, cause)
    assert np.isfinite((await batcher.submit(ListedTexts(["good"]))).logits).all()
    batcher.close()


async def test_closing_answers_first(trained: Path) -> None:
    """What was submitted before the end is answered, and nothing is taken after it."""
    model = _Watched(trained / "best_model")
    batcher = Microbatcher(model, Limits())
    futures = [batcher.submit(ListedTexts([text])) for text in TEXTS]
    batcher.close()
    assert len(await asyncio.gather(*futures)) == 6
    await asyncio.to_thread(batcher.join, 60)
    assert not batcher.is_alive
    with pytest.raises(ClosedError):
        batcher.submit(ListedTexts(["late"]))


async def test_the_time_at_work_shows(trained: Path) -> None:
    """How long the model has been at its batch can be asked while it is at it."""
    model = _Watched(trained / "best_model")
    batcher = Microbatcher(model, Limits())
    assert batcher.seconds_at_work == 0
    model.go.clear()
    future = batcher.submit(ListedTexts(["wonderful"]))
    await asyncio.sleep(0.3)
    assert batcher.seconds_at_work > 0.05
    model.go.set()
    await future
    batcher.close()
    await asyncio.to_thread(batcher.join, 60)
    assert batcher.seconds_at_work == 0


async def test_single_texts_and_pairs_wait_together(trained: Path) -> None:
    """A model that does not tell what it reads is asked about both at once, and answers each as alone."""
    classifier = Classifier.from_pretrained(trained / "best_model")
    model = _Watched(trained / "best_model")
    batcher = Microbatcher(model, Limits())
    model.go.clear()
    first = batcher.submit(ListedTexts(["wonderful"]))
    await asyncio.sleep(0.2)
    asked = [ListedTexts(["a film"]), ListedTexts(["a film"], ["so bad"])]
    futures = [batcher.submit(texts) for texts in asked]
    model.go.set()
    for texts, reading in zip(asked, await asyncio.gather(*futures), strict=True):
        np.testing.assert_allclose(reading.logits, classifier.logits(texts), atol=1e-5)
    await first
    assert model.batches == [1, 2]
    batcher.close()


async def test_counting_is_not_answering(trained: Path) -> None:
    """Where batches cannot be counted, texts are answered all the same."""

    def full(texts: int, tokens: int, seconds: float) -> None:
        raise OSError(28, "No space left on device")

    batcher = Microbatcher(Classifier.from_pretrained(trained / "best_model"), Limits(), full)
    for _ in range(3):
        assert (await batcher.submit(ListedTexts(["a film"]))).logits.shape == (1, 2)
    batcher.close()
