"""A narrow layer computes what torch's linear layer does, to second derivatives."""

import torch
from torch import nn

from genbalance.models.narrow import Narrow


def test_values_gradients_and_names_are_those_of_the_linear_layer():
    torch.manual_seed(0)
    own, linear = Narrow(64, 10), nn.Linear(64, 10)
    linear.load_state_dict(own.state_dict())
    x = torch.randn(32, 64, requires_grad=True)

    def told(layer):
        y = layer(x)
        (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        return [y, slope, *torch.autograd.grad(slope.square().sum(), [x, *layer.parameters()])]

    for found, expected in zip(told(own), told(linear), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
