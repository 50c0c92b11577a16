"""From a request's texts to the model's answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from forgeml.inference.classifier import Classifier
from forgeml.records import ListedTexts
from forgeml.serving.answering.answerer import Answerer, Patience
from forgeml.serving.answering.current import Current
from forgeml.serving.answering.served import Opening
from forgeml.serving.asking import Answers, Asked, Facts
from forgeml.serving.limits import Limits
from forgeml.serving.refusals import ClientGone, Refusal

LIMITS = Limits(waiting_texts=4, characters=200)


@pytest.fixture
def current(trained: Path) -> Iterator[Current]:
    """A model that is ready."""
    how = Opening(str(trained / "best_model"), "auto", "auto", LIMITS)
    made = Current(how, 0, lambda texts, tokens, seconds: None, lambda served, result: None)
    made.load()
    yield made
    made.close()


@pytest.fixture
def held(current: Current, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """While this is not set, the model is at its first batch."""
    go = threading.Event()
    assert current.served is not None
    forward = current.served.classifier.forward

    def wait(batch: object) -> object:
        go.wait(60)
        return forward(batch)  # type: ignore[arg-type]

    monkeypatch.setattr(current.served.classifier, "forward", wait)
    yield go
    go.set()


def _patience(seconds: float = 60, stays_s: float = 60) -> Patience:
    return Patience(asyncio.get_running_loop().time() + seconds, lambda: asyncio.sleep(stays_s))


async def _ask(answerer: Answerer, *texts: str, patience: Patience | None = None) -> Answers:
    def parse(facts: Facts) -> Asked:
        assert facts.labels == ("neg", "pos")
        return Asked(ListedTexts(texts), lambda answers: None)

    _, answers = await answerer.answer(parse, patience or _patience())
    return answers


async def test_answers_are_the_classifiers(current: Current, trained: Path) -> None:
    """What is said over the network is what the classifier says."""
    texts = ["A lovely film", "Boring"]
    answers = await _ask(Answerer(current, LIMITS), *texts)
    assert [one.label for one in answers.predictions] == [
        one.label for one in Classifier.from_pretrained(trained / "best_model").predict(texts)
    ]
    assert answers.logits.shape == (2, 2)
    assert list(answers.truncated) == [False, False]


async def test_what_is_not_read_is_told(current: Current) -> None:
    """A text with more tokens than the model reads, and one with more characters than are looked at, are truncated."""
    answers = await _ask(Answerer(current, LIMITS), "a " * 99, "x" * 201, "x" * 200)
    assert list(answers.truncated) == [True, True, False]


async def test_before_the_model_is_there(trained: Path) -> None:
    """A request before the model is loaded is told to come again."""
    how = Opening(str(trained / "best_model"), "auto", "auto", LIMITS)
    loading = Current(how, 0, lambda texts, tokens, seconds: None, lambda served, result: None)
    with pytest.raises(Refusal) as caught:
        await _ask(Answerer(loading, LIMITS), "a")
    assert (caught.value.status, caught.value.code) == (503, "not_ready")
    assert caught.value.headers["Retry-After"] == "1"


async def test_as_many_wait_as_may(current: Current, held: threading.Event) -> None:
    """With as many texts waiting as may, the next request is refused at once; when they are answered, it is not."""
    counts: list[int] = []
    answerer = Answerer(current, LIMITS, counts.append)
    waiting = [asyncio.ensure_future(_ask(answerer, "a", "b")) for _ in range(2)]
    await asyncio.sleep(0.1)
    assert answerer.full
    with pytest.raises(Refusal) as caught:
        await _ask(answerer, "c")
    assert (caught.value.status, caught.value.code, caught.value.headers["Retry-After"]) == (503, "too_busy", "1")
    held.set()
    await asyncio.gather(*waiting)
    assert len((await _ask(answerer, "c")).predictions) == 1
    assert (max(counts), counts[-1]) == (4, 0)


async def test_time_is_bounded(current: Current, held: threading.Event) -> None:
    """A request that is not answered in its time is told so, and its texts are taken out of the queue."""
    answerer = Answerer(current, LIMITS)
    with pytest.raises(Refusal) as caught:
        await _ask(answerer, "a", patience=_patience(seconds=0.2))
    assert (caught.value.status, caught.value.code) == (503, "timed_out")
    assert not answerer.full


async def test_a_client_that_goes_is_not_read_for(current: Current, held: threading.Event) -> None:
    """When the client goes while its texts wait, they are taken out of the queue."""
    answerer = Answerer(current, LIMITS)
    with pytest.raises(ClientGone):
        await _ask(answerer, *"abcd", patience=_patience(stays_s=0.1))
    await asyncio.sleep(0)
    assert not answerer.full


async def test_a_text_that_cannot_be_read(current: Current, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text over which the model fails is refused with 422; one that the memory does not suffice for, with 503."""
    assert current.served is not None
    for error, status in ((RuntimeError("index"), 422), (MemoryError(), 503)):

        def fail(batch: object, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr(current.served.classifier, "forward", fail)
        with pytest.raises(Refusal) as caught:
            await _ask(Answerer(current, LIMITS), "a")
        assert caught.value.status == status
        assert "index" not in caught.value.message


async def test_a_model_that_is_exchanged_in_between(current: Current) -> None:
    """A request that has looked at a model that goes meanwhile is answered by the next one."""
    before = current.served
    assert before is not None
    looked = 0

    def parse(facts: Facts) -> Asked:
        nonlocal looked
        looked += 1
        if looked == 1:
            current.load()
        return Asked(ListedTexts(["a"]), lambda answers: None)

    _, answers = await Answerer(current, LIMITS).answer(parse, _patience())
    assert (looked, len(answers.predictions)) == (2, 1)
    assert current.served is not before


async def test_explanations(current: Current) -> None:
    """An explanation is the classifier's; where it can give none, that is said of the text."""
    answerer = Answerer(current, LIMITS)
    explanation, facts = await answerer.explain(lambda facts: ("A good film", None, "pos"), _patience())
    assert [word.text for word in explanation.words] == ["A", "good", "film"]
    assert explanation.label in facts.labels
    with pytest.raises(Refusal) as caught:
        await answerer.explain(lambda facts: ("A good film", None, "maybe"), _patience())
    assert (caught.value.status, caught.value.code) == (422, "unreadable")
    answerer.close()
