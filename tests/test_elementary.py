"""Exponential and logarithm without MKL are torch's own, but for the last bits."""

import pytest
import torch

from genbalance import elementary


@pytest.mark.parametrize(("name", "low", "high"), [("exp", -15.0, 7.0), ("log", 1e-6, 1e3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_those_of_torch(name, low, high, dtype):
    x = torch.linspace(low, high, 1001, dtype=dtype, requires_grad=True)
    found, expected = getattr(elementary, name)(x), getattr(torch, name)(x)
    tolerance = {"rtol": 3e-6, "atol": 1e-7} if dtype == torch.float32 else {"rtol": 1e-13, "atol": 1e-13}
    torch.testing.assert_close(found, expected, **tolerance)
    slopes = (torch.autograd.grad(y.sum(), x)[0] for y in (found, expected))
    torch.testing.assert_close(*slopes, **tolerance)
