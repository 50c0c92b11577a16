"""What comes out of a model, whichever engine runs it."""

from __future__ import annotations

import numpy as np
import torch

from forgeml.batch import Batch
from forgeml.data.batches import collate
from forgeml.model.forward import batch_logits
from forgeml.model.logits import collect, mean_of_pieces, sigmoid, softmax
from forgeml.records import EncodedTexts


def batch_of(indexes: list[int], owners: list[int] | None = None) -> Batch:
    """A batch of these texts; its tokens are their numbers."""
    pieces = indexes if owners is None else [indexes[owner] for owner in owners]
    ids = np.array(pieces, np.int64)[:, None]
    return Batch(ids, np.ones_like(ids), np.array(indexes), None, None if owners is None else np.array(owners))


def test_logits_come_in_the_order_of_the_texts() -> None:
    """Whatever the order of the batches; and what is done is told after each of them."""
    told: list[int] = []
    found = collect(
        lambda batch: batch.input_ids.astype(np.float32), [batch_of([3, 0]), batch_of([1]), batch_of([2])], told.append
    )
    assert (found.tolist(), told) == ([[0], [1], [2], [3]], [2, 3, 4])


def test_no_batches_give_no_logits() -> None:
    """Nothing in, nothing out."""
    assert collect(lambda batch: batch.input_ids.astype(np.float32), []).shape == (0, 0)


def test_pieces_are_averaged_as_by_torch() -> None:
    """The mean over each text's pieces is the one that the training computes."""

    class Given(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> object:
            return type("Output", (), {"logits": logits[input_ids[:, 0]]})

    logits = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    offsets, bounds = np.arange(10), np.array([0, 1, 4, 9])
    encoded = EncodedTexts(np.arange(9, dtype=np.int32), offsets, 0, np.zeros(len(bounds) - 1, bool), bounds=bounds)
    batch = collate(encoded, np.array([2, 0, 1]))
    expected = batch_logits(Given(), batch, "cpu").numpy()
    found = mean_of_pieces(logits.numpy()[batch.input_ids[:, 0]], batch)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    whole = batch_of([1, 0])
    assert np.array_equal(mean_of_pieces(logits.numpy()[:2], whole), logits.numpy()[:2])


def test_sigmoid_gives_probabilities() -> None:
    """Each logit alone gives its probability, in double precision and without overflow at either end."""
    found = sigmoid(np.array([[0.0, 2.0, -2.0, 1000.0, -1000.0, -80.0]], np.float32))
    expected = [[0.5, 1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(2.0)), 1.0, 0.0, np.exp(-80.0)]]
    np.testing.assert_allclose(found, expected, rtol=1e-15, atol=0)
    assert found.dtype == np.float64
    assert sigmoid(np.zeros((0, 3), np.float32)).shape == (0, 3)


def test_softmax_gives_probabilities() -> None:
    """Rows sum to 1 and large logits do not overflow."""
    probabilities = softmax(np.array([[0.0, 0.0], [1000.0, 0.0], [-1000.0, -1001.0]], np.float32))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(probabilities[:, 0], [0.5, 1.0, 1 / (1 + np.exp(-1.0))])


def test_softmax_of_nothing_is_nothing() -> None:
    """No texts, no probabilities, no error."""
    assert softmax(np.zeros((0, 3), np.float32)).shape == (0, 3)
