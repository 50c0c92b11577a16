"""Texts made to cost much or to fail, by the rows S10, S24 and S25 of the catalogue of bad input."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from forgeml.batch import Batch
from forgeml.inference.classifier import Classifier
from forgeml.model.logits import Logits
from forgeml.records import ListedTexts
from forgeml.serving.answering.served import Served
from forgeml.serving.app import App, Settings
from forgeml.serving.limits import Limits
from served import ENGINE, GOOD, MARK, Reply, Running, posted, running
from small_application import ask, request, served

Found = NDArray[np.bool_]

TEXT_S = 15
"""A text is answered within this; it takes far less unless its whole length is looked at closely."""

SHAPES: Mapping[str, str] = {
    "S10-one-word": "a" * 1_000_000,
    "S10-marks": "e" + "\u0301" * 1_000_000,
    "S10-marks-alone": "\u0345" * 1_000_000,
    "S10-nothing-wide": "\u200b" * 100_000,
    "S10-joined-signs": "\U0001f468\u200d" * 200_000,
    "S10-words": "bad " * 250_000,
    "S10-points": "." * 1_000_000,
    "S10-lines": "\n" * 1_000_000,
    "S10-chinese": "\u7535\u5f71" * 400_000,
    "S10-other-way": "\u202e" * 500_000 + "good",
    "S10-ligatures": "\ufdfa" * 500_000,
    "S10-nul": "\0" * 600_000,
}


@pytest.fixture(scope="module")
def wide(engines: Path) -> Iterator[Running]:
    """A server that takes bodies of several megabytes."""
    with running(engines, "--limit", "body_bytes=4000000") as server:
        yield server


@pytest.mark.parametrize("name", SHAPES)
def test_hostile_texts_are_cut_and_answered_in_time(wide: Running, name: str) -> None:
    """S10: the answer says that the text was cut, and the server is there for others meanwhile."""
    body = json.dumps({"text": SHAPES[name]}, ensure_ascii=False).encode()
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        reply = pool.submit(wide.post, "/predict", body)
        while not reply.done():
            asked = time.monotonic()
            assert wide.get("/healthz").status == 200
            assert time.monotonic() - asked < TEXT_S / 3
        assert time.monotonic() - began < TEXT_S
    assert reply.result().status == 200
    assert reply.result().json["truncated"] is True
    wide.check()


def test_a_batch_of_long_words_fits_in_a_body(server: Running) -> None:
    """S10: 1,000,000 characters in one word, or in 64 of them, are within the limits and answered."""
    for path, body in (
        ("/predict", {"text": "a" * 1_000_000}),
        ("/predict/batch", {"texts": ["a" * 16_000] * 64}),
        ("/", {"inputs": "a" * 1_000_000}),
        ("/explain", {"text": "a" * 20_000}),
        ("/explain", {"text": "good bad " * 2_200}),
    ):
        began = time.monotonic()
        assert server.post(path, body).status == 200
        assert time.monotonic() - began < 2 * TEXT_S
    assert server.post("/explain", {"text": "a" * 1_000_000}).json["code"] == "too_long"


@contextmanager
def doctored(
    engines: Path, monkeypatch: pytest.MonkeyPatch, happens: Callable[[Logits, Found], Logits], limits: Limits
) -> Iterator[int]:
    """A server in this process in whose model something happens to texts with the word `awful`; the port.

    Args:
        engines: the saved folder.
        monkeypatch: of the test.
        happens: given the logits, shape (texts, outputs), and which texts have the word, shape (texts,).
        limits: of the server.
    """
    encoder, forward = Classifier.from_pretrained(engines, "cpu", ENGINE).encoder(False), Classifier.forward
    awful = encoder.encode(ListedTexts(["awful"])).ids[1]

    def bewitched(self: Classifier, batch: Batch) -> Logits:
        found = (batch.input_ids == awful).any(axis=1)
        return happens(forward(self, batch), found) if found.any() else forward(self, batch)

    monkeypatch.setattr(Classifier, "forward", bewitched)
    app = App(Settings(str(engines), ENGINE, limits=limits, watch_s=0))
    with served(app) as port:
        while ask(port, request("/readyz"))[0] != 200:
            time.sleep(0.02)
        yield port
        assert _post(port, GOOD).status == 200


def fails(logits: Logits, found: Found) -> Logits:
    """As a library would."""
    raise RuntimeError(f"no {MARK} for you")


def is_no_number(logits: Logits, found: Found) -> Logits:
    """As a model whose weights are too large for what it computes with."""
    logits[found] = np.nan
    return logits


def sleeps(logits: Logits, found: Found) -> Logits:
    """As a model that a text sends in circles."""
    time.sleep(4)
    return logits


@pytest.mark.parametrize("happens", [fails, is_no_number])
def test_a_text_that_fails_costs_its_own_request_alone(
    engines: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, happens: Any
) -> None:
    """S24: 422 for that request, and 200 for all that the model would have read together with it."""
    texts = [f"A good film {number}" if number % 8 else "An awful film" for number in range(48)]
    with doctored(engines, monkeypatch, happens, Limits()) as port, ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda text: _post(port, text), texts))
        statuses = [reply.status for reply in replies]
        assert statuses == [200 if number % 8 else 422 for number in range(48)]
        assert replies[0].json["code"] == "unreadable"
        assert MARK.encode() not in replies[0].body
        several = Reply(*ask(port, posted("/predict/batch", {"texts": ["fine", "awful", "good"]})))
        assert (several.status, "text 1" in several.json["message"]) == (422, True)
        explained = Reply(*ask(port, posted("/explain", {"text": "an awful film"})))
        assert (explained.status, explained.json["code"]) == (422, "unreadable")
    assert MARK not in caplog.text


def test_a_text_that_takes_long_is_bounded(engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S25: 503 after the time for an answer, for it and for those behind it; readiness tells, and then all is well."""
    with doctored(engines, monkeypatch, sleeps, Limits(answer_s=1)) as port, ThreadPoolExecutor(8) as pool:
        began = time.monotonic()
        slow = pool.submit(_post, port, "An awful film")
        time.sleep(0.3)
        behind = list(pool.map(lambda number: _post(port, f"A good film {number}"), range(6)))
        waited = time.monotonic() - began
        assert (slow.result().status, slow.result().json["code"]) == (503, "timed_out")
        assert {reply.status for reply in behind} == {503}
        assert "retry-after" in behind[0].headers
        assert waited < 3.5
        ready = Reply(*ask(port, request("/readyz")))
        assert (ready.status, ready.json["status"]) == (503, "stuck")
        assert ask(port, request("/healthz"))[0] == 200
        while ask(port, request("/readyz"))[0] != 200:
            time.sleep(0.05)
        assert time.monotonic() - began < 15


def _post(port: int, text: str) -> Reply:
    return Reply(*ask(port, posted("/predict", {"text": text})))


def test_a_bug_looks_like_all_errors(engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody has foreseen is answered with 500 in the one shape, without a word of what it was."""

    def broken(self: Served) -> dict[str, str]:
        raise RuntimeError(MARK)

    monkeypatch.setattr(Served, "about", broken)
    with doctored(engines, monkeypatch, fails, Limits()) as port:
        reply = Reply(*ask(port, request("/info")))
        assert (reply.status, reply.json["code"]) == (500, "bug")
        assert reply.headers["x-request-id"] == reply.json["request_id"]
        assert MARK.encode() not in reply.body
