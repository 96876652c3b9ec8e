"""Encoder and decoder of residual convolutions.

Below 32 pixels a side the encoder is the perceptron's, and nothing runs at the full size: a picture of a quarter of the
side is doubled twice by convolutions whose channels are rearranged as pixels (Shi et al. 2016, arXiv:1609.05158). What
a decoder knows of neighbouring pixels it need not learn; an encoder of convolutions would gain little there and cost as
much again. From 32 pixels on both have a residual block at each size from half the side down to at most 8 pixels.
"""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from genbalance.models.vae.mlp import mlp_encoder, perceptron

RESIDUAL = 32  # pixels of the longer side from which on the encoder has convolutions too
INNERMOST = 8  # pixels of the longer side, at most, where convolutions end
WIDEST = 4  # times the channels at half the side: they double with each halving until then

M = TypeVar("M", bound=nn.Module)


def zeroed(layer: M) -> M:
    """The layer with weights of zero."""
    for p in layer.parameters():
        nn.init.zeros_(p)
    return layer


class _Residual(nn.Module):
    """x + conv(SiLU(conv(SiLU(x)))), which starts as the identity; no normalization, which costs a CPU as much."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        last = zeroed(nn.Conv2d(channels, channels, 3, padding=1))
        self.branch = nn.Sequential(nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.SiLU(), last)

    def forward(self, pictures: Tensor) -> Tensor:
        residual: Tensor = self.branch(pictures)
        return pictures + residual


class _PixelBias(nn.Module):
    """A bias for each pixel, which convolutions do not have: where digits lie is the same in all images."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(shape))

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures + self.bias


def _levels(sides: Sequence[int], width: int) -> tuple[list[int], int, int]:
    """Of an image's two sides: the channels after each halving, and the height and width after all of them, rounded
    up."""
    halvings = 0
    while -(-max(sides) // 2**halvings) > INNERMOST:
        halvings += 1
    channels = [width // 16 * min(2**level, WIDEST) for level in range(halvings)]
    height, wide = (-(-side // 2**halvings) for side in sides)
    return channels, height, wide


def conv_encoder(shape: Sequence[int], outputs: int, width: int) -> nn.Module:
    """Images [B, C, H, W], (C, H, W) = ``shape``, → [B, outputs]: halvings by convolutions with a residual block behind
    each, then a linear layer."""
    channels, *sides = shape
    if max(sides) < RESIDUAL:
        return mlp_encoder(shape, outputs, width)
    levels, height, wide = _levels(sides, width)
    layers: list[nn.Module] = []
    for wider in levels:
        layers += [nn.Conv2d(channels, wider, 3, stride=2, padding=1), _Residual(wider), nn.SiLU()]
        channels = wider
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * wide, outputs))


def conv_decoder(shape: Sequence[int], inputs: int, width: int) -> nn.Module:
    """[B, inputs] → [B, C, H′, W′], H′ ≥ H, W′ ≥ W: two doublings of a quarter, rounded up; or, of 32 pixels and more,
    as many as the encoder has halvings, each with a normalization of the image, without which so many convolutions one
    after the other leap in the first steps."""
    channels, *sides = shape
    is_residual = max(sides) >= RESIDUAL
    if is_residual:
        levels, height, wide = _levels(sides, width)
    else:
        levels, height, wide = [max(1, width // 32), width // 16], *(-(-side // 4) for side in sides)
    inner, times = levels[-1], 2 ** len(levels)
    layers: list[nn.Module] = [
        perceptron(inputs, width // 4),
        nn.Linear(width // 4, inner * height * wide),
        nn.Unflatten(1, (inner, height, wide)),
    ]
    for before, after in zip(reversed(levels), [*reversed(levels[:-1]), channels], strict=True):
        layers.append(_Residual(before))
        if is_residual:
            layers.append(nn.GroupNorm(1, before))
        layers += [nn.SiLU(), nn.Conv2d(before, 4 * after, 3, padding=1), nn.PixelShuffle(2)]
    return nn.Sequential(*layers, _PixelBias(channels, times * height, times * wide))
