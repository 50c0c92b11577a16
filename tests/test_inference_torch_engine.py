"""A saved model run by torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engines_made import TEXTS
from forgeml.inference.classifier import Classifier
from forgeml.records import ListedTexts


def test_bf16_is_near_fp32_and_not_the_same(trained: Path) -> None:
    """Sixteen bits round, and what is saved from there is the model in fp32."""
    exact, short = (
        Classifier.from_pretrained(trained / "best_model", "cpu", name).logits(ListedTexts(TEXTS))
        for name in ("torch-fp32", "torch-bf16")
    )
    assert short.dtype == np.float32
    assert not np.array_equal(short, exact)
    np.testing.assert_allclose(short, exact, rtol=0.05, atol=0.1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("name", ["torch-fp32", "torch-bf16"])
def test_gpu_gives_the_same_labels(trained: Path, name: str) -> None:
    """Wherever torch computes."""
    folder = trained / "best_model"
    here, there = (Classifier.from_pretrained(folder, on, name).predict(TEXTS) for on in ("cpu", "cuda"))
    assert [answer.label for answer in there] == [answer.label for answer in here]
