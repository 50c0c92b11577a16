"""Explanations on the side."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgeml.inference.classifier import Classifier
from forgeml.serving.answering.explaining import Explainer
from forgeml.serving.answering.microbatch import UnreadableError
from forgeml.serving.refusals import Refusal


async def test_the_explanation_is_the_classifiers(trained: Path) -> None:
    """What is told over the network is what the classifier tells."""
    classifier, explainer = Classifier.from_pretrained(trained / "best_model"), Explainer(4)
    assert await explainer.explain(classifier, "A good film", None, None) == classifier.explain("A good film")
    with pytest.raises(UnreadableError):
        await explainer.explain(classifier, "A good film", None, "maybe")
    explainer.close()


class _Slow:
    """Explains until nobody wants it any more."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def explain(self, text: str, pair: str | None, label: str | None, on_progress: Callable[[int], None]) -> Any:
        try:
            while True:
                on_progress(0)
        finally:
            self.ended.set()


async def test_only_a_few_wait_and_nobody_costs_nothing() -> None:
    """One more than may wait is refused at once, and the work ends when its caller has gone."""
    slow, explainer = _Slow(), Explainer(2)
    waiting = [asyncio.ensure_future(explainer.explain(slow, "a", None, None)) for _ in range(2)]  # type: ignore[arg-type]
    await asyncio.sleep(0.1)
    with pytest.raises(Refusal) as caught:
        await explainer.explain(slow, "a", None, None)  # type: ignore[arg-type]
    assert (caught.value.status, "Retry-After" in caught.value.headers) == (503, True)
    for one in waiting:
        one.cancel()
    assert await asyncio.to_thread(slow.ended.wait, 60)
    explainer.close()
