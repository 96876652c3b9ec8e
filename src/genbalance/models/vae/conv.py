"""A decoder of residual convolutions, behind the perceptron's encoder.

Nothing runs at the full size: a picture of a quarter of the side is doubled twice by convolutions whose channels are
rearranged as pixels (Shi et al. 2016, arXiv:1609.05158). What a decoder knows of neighbouring pixels it need not learn;
an encoder of convolutions would gain little and cost as much again.
"""

import torch
from torch import Tensor, nn

from genbalance.models.vae.mlp import mlp_encoder, perceptron

conv_encoder = mlp_encoder


class _Residual(nn.Module):
    """x + conv(SiLU(conv(SiLU(x)))), which starts as the identity; no normalization, which costs a CPU as much."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        last = nn.Conv2d(channels, channels, 3, padding=1)
        for p in last.parameters():
            nn.init.zeros_(p)
        self.branch = nn.Sequential(nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.SiLU(), last)

    def forward(self, pictures: Tensor) -> Tensor:
        residual: Tensor = self.branch(pictures)
        return pictures + residual


class _PixelBias(nn.Module):
    """A bias for each pixel, which convolutions do not have: where digits lie is the same in all images."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels, side, side))

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures + self.bias


def conv_decoder(size: int, channels: int, inputs: int, width: int) -> nn.Module:
    """[B, inputs] → images [B, channels, S′, S′], S′ ≥ S: two doublings of a quarter, rounded up."""
    quarter, half, side = width // 16, max(1, width // 32), -(-size // 4)
    return nn.Sequential(
        perceptron(inputs, width // 4),
        nn.Linear(width // 4, quarter * side**2),
        nn.Unflatten(1, (quarter, side, side)),
        _Residual(quarter),
        nn.SiLU(),
        nn.Conv2d(quarter, 4 * half, 3, padding=1),
        nn.PixelShuffle(2),
        _Residual(half),
        nn.SiLU(),
        nn.Conv2d(half, 4 * channels, 3, padding=1),
        nn.PixelShuffle(2),
        _PixelBias(channels, 4 * side),
    )
