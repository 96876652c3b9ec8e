"""Exponential, logarithm and a narrow layer: torch's values to rounding, the same bits on every processor."""

import pytest
import torch
from torch import nn

from genbalance.runtime import arithmetic
from genbalance.runtime.arithmetic import Narrow


@pytest.mark.parametrize(("name", "low", "high"), [("exp", -15.0, 7.0), ("log", 1e-6, 1e3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_those_of_torch(name, low, high, dtype):
    x = torch.linspace(low, high, 1001, dtype=dtype, requires_grad=True)
    found, expected = getattr(arithmetic, name)(x), getattr(torch, name)(x)
    tolerance = {"rtol": 3e-6, "atol": 1e-7} if dtype == torch.float32 else {"rtol": 1e-13, "atol": 1e-13}
    torch.testing.assert_close(found, expected, **tolerance)
    slopes = (torch.autograd.grad(y.sum(), x)[0] for y in (found, expected))
    torch.testing.assert_close(*slopes, **tolerance)


def test_values_gradients_and_names_are_those_of_the_linear_layer():
    torch.manual_seed(0)
    own, linear = Narrow(64, 10), nn.Linear(64, 10)
    linear.load_state_dict(own.state_dict())
    x = torch.randn(32, 64, requires_grad=True)

    def values(layer):
        y = layer(x)
        (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        return [y, slope, *torch.autograd.grad(slope.square().sum(), [x, *layer.parameters()])]

    for found, expected in zip(values(own), values(linear), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
