"""Attention inside each text of a packed batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from forgeml.model.packed.attention import Passage, UnpackableError, packed_attention
from forgeml.model.packed.layout import Layout

HEADS, WIDTH = 3, 8
LENGTHS = {"alike": (5, 5, 5), "filled": (8, 9, 9, 10), "mixed": (1, 2, 7, 7, 30)}


def _tensors(tokens: int) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    return tuple(torch.randn(1, HEADS, tokens, WIDTH, requires_grad=True) for _ in range(3))


def _plain(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: tuple[int, ...]) -> torch.Tensor:
    """Each text on its own, as the library computes it."""
    parts = (tensor.split(lengths, dim=2) for tensor in (query, key, value))
    attended = [torch.nn.functional.scaled_dot_product_attention(*texts) for texts in zip(*parts, strict=True)]
    return torch.cat(attended, dim=2).transpose(1, 2)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_same_output_and_gradients_as_one_text_at_a_time(lengths: tuple[int, ...]) -> None:
    """Whether the texts are of one length, filled up, or in several groups."""
    tensors, others = _tensors(sum(lengths)), _tensors(sum(lengths))
    passage = Passage(Layout.of(np.array(lengths), "cpu"))
    output, weights = packed_attention(torch.nn.Module(), *tensors, None, packing=passage)
    wanted = _plain(*others, lengths)
    assert weights is None
    torch.testing.assert_close(output, wanted)
    gradient = torch.randn_like(output)
    output.backward(gradient)
    wanted.backward(gradient)
    for tensor, other in zip(tensors, others, strict=True):
        torch.testing.assert_close(tensor.grad, other.grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_first_tokens_alone_attend_as_they_do_among_all(lengths: tuple[int, ...]) -> None:
    """With queries of the first tokens, and keys and values of all."""
    query, key, value = _tensors(sum(lengths))
    layout = Layout.of(np.array(lengths), "cpu")
    wanted, _ = packed_attention(torch.nn.Module(), query, key, value, None, packing=Passage(layout))
    passage = Passage(layout)
    flat = [tensor.transpose(1, 2).reshape(1, -1, HEADS * WIDTH) for tensor in (key, value)]
    passage.whole = lambda: (flat[0], flat[1])
    first = query[:, :, layout.starts]
    output, _ = packed_attention(torch.nn.Module(), first, first, first, None, packing=passage)
    torch.testing.assert_close(output, wanted[:, layout.starts])


def test_dropout_has_the_gradient_of_what_it_computed() -> None:
    """Backward uses the forward's mask: a derivative worked out by steps agrees in 64 bits."""
    query, key, value = (tensor.detach().double() for tensor in _tensors(12))
    layout = Layout.of(np.array((3, 4, 5)), "cpu")

    def attend(*tensors: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return packed_attention(torch.nn.Module(), *tensors, None, dropout=0.3, packing=Passage(layout))[0]

    output = attend(query, key, value)
    inputs = [tensor.clone().requires_grad_() for tensor in (query, key, value)]
    direction = torch.randn_like(output)
    attend(*inputs).backward(direction)
    step = 1e-3
    for place, tensor in enumerate(inputs):
        way = torch.randn_like(tensor)
        ahead, back = (
            attend(*[one + sign * step * way if at == place else one for at, one in enumerate((query, key, value))])
            for sign in (1, -1)
        )
        slope = ((ahead - back) * direction).sum() / (2 * step)
        assert float((tensor.grad * way).sum()) == pytest.approx(float(slope), rel=1e-3, abs=1e-3)


def test_dropout_keeps_the_mean() -> None:
    """Over many draws the output is that without dropout."""
    query, key, value = (tensor.detach() for tensor in _tensors(8))
    layout = Layout.of(np.array((4, 4)), "cpu")
    torch.manual_seed(0)
    wanted = packed_attention(torch.nn.Module(), query, key, value, None, packing=Passage(layout))[0]
    draws = [
        packed_attention(torch.nn.Module(), query, key, value, None, dropout=0.2, packing=Passage(layout))[0]
        for _ in range(3000)
    ]
    torch.testing.assert_close(torch.stack(draws).mean(0), wanted, atol=0.06, rtol=0)


@pytest.mark.parametrize("given", [{"sliding_window": 8}, {"position_bias": torch.zeros(1)}, {"softcap": 3.0}])
def test_attention_of_another_kind_is_refused(given: dict[str, object]) -> None:
    """What a model hands on and is not known may change the result, so it is not passed over."""
    passage = Passage(Layout.of(np.array([4]), "cpu"))
    with pytest.raises(UnpackableError):
        packed_attention(torch.nn.Module(), *_tensors(4), None, packing=passage, **given)


def test_padded_batches_attend_as_the_library_does() -> None:
    """A model that takes packed batches still takes padded ones."""
    query, key, value = _tensors(6)
    mask = torch.tensor([[[[True, True, True, True, False, False]]]])
    output, _ = packed_attention(torch.nn.Module(), query, key, value, mask)
    wanted = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    torch.testing.assert_close(output, wanted.transpose(1, 2))
