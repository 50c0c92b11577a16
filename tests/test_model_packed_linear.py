"""Linear layers that compute in 16 bits."""

from __future__ import annotations

import pytest
import torch

from forgeml.model.packed.linear import compute_in


@pytest.mark.parametrize("bias", [True, False])
def test_layer_computes_in_16_bits_and_learns_in_32(bias: bool) -> None:
    """Output is short and near that of the long layer; weights and gradients are fp32."""
    torch.manual_seed(0)
    layer, numbers = torch.nn.Linear(64, 32, bias=bias), torch.randn(5, 64)
    wanted = layer(numbers)
    compute_in(layer, torch.bfloat16)
    output = layer(numbers)
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), wanted, rtol=0.02, atol=0.02)
    output.float().sum().backward()
    assert all(weight.dtype == torch.float32 == weight.grad.dtype for weight in layer.parameters())


def test_only_plain_linear_layers_are_turned() -> None:
    """Those inside as well; what is a kind of its own stays as it is."""

    class Special(torch.nn.Linear):
        """Some library's own."""

    model = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Linear(2, 2)), Special(2, 2), torch.nn.LayerNorm(2))
    names = list(model.state_dict())
    compute_in(model, torch.bfloat16)
    assert [type(module).__name__ for module in (model[0][0], model[1], model[2])] == [
        *("ShortLinear", "Special", "LayerNorm")
    ]
    assert list(model.state_dict()) == names


@pytest.mark.parametrize("shape", [(7, 64), (2, 3, 64)])
def test_gradients_are_those_of_the_long_layer(shape: tuple[int, ...]) -> None:
    """For numbers, weights and bias, up to the rounding of short numbers; what is frozen gets none."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 32)
    numbers, others = (torch.randn(shape, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    numbers.requires_grad_(), others.requires_grad_()
    direction = torch.randn(*shape[:-1], 32)
    wanted = torch.autograd.grad((layer(others) * direction).sum(), [others, layer.weight, layer.bias])
    compute_in(layer, torch.bfloat16)
    found = torch.autograd.grad((layer(numbers).float() * direction).sum(), [numbers, layer.weight, layer.bias])
    for gradient, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=0.03, atol=0.1)
    layer.requires_grad_(False)
    layer(numbers).float().sum().backward()
    assert layer.weight.grad is layer.bias.grad is None
    assert numbers.grad is not None
