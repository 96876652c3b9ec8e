"""Encoder and decoder as perceptrons: two hidden layers each."""

import itertools

from torch import nn


def perceptron(*widths: int) -> nn.Sequential:
    """Linear layers, each with a SiLU behind it."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.SiLU(inplace=True)]
    return nn.Sequential(*layers)


def mlp_encoder(size: int, planes: int, outputs: int, width: int) -> nn.Module:
    """Images [B, planes, S, S] → [B, outputs]."""
    return nn.Sequential(nn.Flatten(), perceptron(planes * size * size, width, width), nn.Linear(width, outputs))


def mlp_decoder(size: int, channels: int, inputs: int, width: int) -> nn.Module:
    """[B, inputs] → images [B, channels, S, S]."""
    return nn.Sequential(
        perceptron(inputs, width, width),
        nn.Linear(width, channels * size * size),
        nn.Unflatten(1, (channels, size, size)),
    )
