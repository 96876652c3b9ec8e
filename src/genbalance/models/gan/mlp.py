"""The GAN of perceptrons: G z→128→256→512→1024→pixels, D pixels→512→256→128→1."""

import itertools
from collections.abc import Sequence
from math import prod

from torch import nn

FEATURES = 128


def mlp_generator(inputs: Sequence[int], shape: Sequence[int], width: int) -> nn.Module:  # noqa: ARG001 (the widths are the text's)
    """z and one-hot conditions [B, sum(inputs)] → 128 → 256 → 512 → 1024 → images [B, C, H, W] in (−1, 1).

    The last two steps make the stack fit the pixels: a linear map from the 1,024 units to C·H·W outputs, and a tanh,
    because pixels are bounded.
    """
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise([sum(inputs), 128, 256, 512, 1024]):
        layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers, nn.Linear(1024, prod(shape)), nn.Tanh(), nn.Unflatten(1, tuple(shape)))


def mlp_trunk(shape: Sequence[int], width: int) -> tuple[nn.Module, int]:  # noqa: ARG001
    """Images → 512 → 256 → 128 features, and their number, with dropout, without which few digits are learned by
    heart."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise([prod(shape), 512, 256, FEATURES]):
        layers += [nn.Linear(before, after), nn.LeakyReLU(0.2, inplace=True), nn.Dropout(0.3)]
    return nn.Sequential(nn.Flatten(), *layers), FEATURES
