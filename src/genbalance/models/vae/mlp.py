"""Encoder and decoder as perceptrons: two hidden layers each."""

import itertools
from collections.abc import Sequence
from math import prod

from torch import nn


def perceptron(*widths: int) -> nn.Sequential:
    """Linear layers, each with a SiLU behind it."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.SiLU(inplace=True)]
    return nn.Sequential(*layers)


def mlp_encoder(shape: Sequence[int], outputs: int, width: int) -> nn.Module:
    """Images [B, C, H, W], (C, H, W) = ``shape``, → [B, outputs]."""
    return nn.Sequential(nn.Flatten(), perceptron(prod(shape), width, width), nn.Linear(width, outputs))


def mlp_decoder(shape: Sequence[int], inputs: int, width: int) -> nn.Module:
    """[B, inputs] → [B, C, H, W]."""
    return nn.Sequential(
        perceptron(inputs, width, width),
        nn.Linear(width, prod(shape)),
        nn.Unflatten(1, tuple(shape)),
    )
