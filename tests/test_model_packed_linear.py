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
