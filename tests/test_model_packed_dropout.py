"""Dropout whose random decisions are cheap."""

from __future__ import annotations

import copy

import pytest
import torch

from forgeml.model.packed.dropout import QuickDropout, draw_seed, keep_mask, use_quick_dropout

NUMBERS = 1_000_000


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("probability", [0.1, 0.5, 0.017])
def test_as_many_are_dropped_as_the_probability_says(probability: float, dtype: torch.dtype) -> None:
    """The share lies within five standard errors, and what is left keeps the mean."""
    mask, factor = keep_mask(5, torch.Size([NUMBERS]), probability, dtype)
    error = (probability * (1 - probability) / NUMBERS) ** 0.5
    share = float((mask == 0).double().mean())
    assert abs(share - probability) < 5 * error
    assert factor * (1 - probability) == pytest.approx(1, rel=1e-4)
    assert set(mask.unique().tolist()) == {0.0, 1.0}


def test_decisions_are_independent_of_their_neighbours() -> None:
    """Numbers decided by the same random word are dropped together as often as any others."""
    dropped = keep_mask(6, torch.Size([NUMBERS]), 0.5, torch.float32)[0] == 0
    for distance in (1, 2, 3, 4, 384):
        together = float((dropped[:-distance] & dropped[distance:]).double().mean())
        assert abs(together - 0.25) < 5 * (0.25 * 0.75 / NUMBERS) ** 0.5


def test_seed_of_torch_decides() -> None:
    """The same seed gives the same mask, a second draw another one."""
    torch.manual_seed(7)
    first, second = draw_seed(), draw_seed()
    torch.manual_seed(7)
    assert draw_seed() == first
    masks = [keep_mask(seed, torch.Size([999]), 0.5, torch.float32)[0] for seed in (first, first, second)]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_gradient_goes_where_the_numbers_went() -> None:
    """Forward and backward share the mask and the factor, as with the library's own layer."""
    layer = QuickDropout(0.3)
    numbers = torch.ones(50, 70, requires_grad=True)
    output = layer(numbers)
    output.backward(torch.full_like(output, 2.0))
    assert numbers.grad is not None
    torch.testing.assert_close(numbers.grad, output.detach() * 2)
    assert 0 < int((output == 0).sum()) < numbers.numel()


@pytest.mark.parametrize("layer", [QuickDropout(0.5).eval(), QuickDropout(0.0)])
def test_nothing_is_dropped_where_nothing_is_to_be(layer: QuickDropout) -> None:
    """In evaluation, and with a probability of zero."""
    numbers = torch.randn(8, 8)
    assert torch.equal(layer(numbers), numbers)


def test_everything_is_dropped_with_a_probability_of_one() -> None:
    """As the library does it: zeros, not numbers that are not finite."""
    assert QuickDropout(1.0)(torch.randn(9)).tolist() == [0.0] * 9


def test_all_dropout_layers_of_a_model_are_turned() -> None:
    """Their probabilities and the model's weights stay."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.2), torch.nn.AlphaDropout(0.2))
    weights = copy.deepcopy(model.state_dict())
    use_quick_dropout(model)
    assert [type(module) for module in model] == [torch.nn.Linear, QuickDropout, torch.nn.AlphaDropout]
    assert model[1].p == 0.2
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
