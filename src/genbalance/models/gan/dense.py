"""Dense blocks in both networks (Huang et al. 2017, arXiv:1608.06993): each layer sees the outputs of all before it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genbalance.models.gan.dcgan import AFFORDABLE, Crop, halving, sides

LAYERS = 2  # of a block


class Block(nn.Module):
    """Layers that each add ``growth`` channels to those before: activation, with batch norm before it or without, and a
    3 × 3 convolution."""

    def __init__(self, inputs: int, growth: int, normalized: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                *_activation(inputs + place * growth, normalized),
                nn.Conv2d(inputs + place * growth, growth, 3, padding=1, bias=not normalized),
            )
            for place in range(LAYERS)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """[B, inputs, H, W] → [B, inputs + LAYERS · growth, H, W]."""
        for layer in self.layers:
            pictures = torch.cat([pictures, layer(pictures)], dim=1)
        return pictures


def _activation(channels: int, normalized: bool) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU()] if normalized else [nn.LeakyReLU(0.2)]


def _block(inputs: int, width: int, size: tuple[int, int], normalized: bool) -> tuple[list[nn.Module], int]:
    """A block, where the picture is small enough to afford one, and the channels behind it."""
    growth = max(1, width // 2)
    if max(size) > AFFORDABLE:
        return [], inputs
    return [Block(inputs, growth, normalized)], inputs + LAYERS * growth


def dense_generator(inputs: Sequence[int], shape: Sequence[int], width: int) -> nn.Module:
    """z and one-hot conditions [B, sum(inputs)] → images [B, C, H, W] in (−1, 1): dense blocks with batch norm, and
    transposed convolutions as transitions, to ``width`` channels at half the full side, twice as many at each further
    halving; a layer of a block adds half of ``width``."""
    colours, *whole = shape
    full, *inner = sides(*whole)
    channels = width * 2 ** (len(inner) - 1)
    layers: list[nn.Module] = [
        nn.Linear(sum(inputs), channels * inner[-1][0] * inner[-1][1], bias=False),
        nn.Unflatten(1, (channels, *inner[-1])),
    ]
    for size, below in zip(reversed(inner), [*reversed(inner[:-1]), full], strict=True):
        block, found = _block(channels, width, size, normalized=True)
        channels //= 2
        outputs = colours if below is full else channels
        transition = nn.ConvTranspose2d(found, outputs, 4, 2, 1, bias=below is full)
        layers += [*block, *_activation(found, normalized=True), transition, Crop(below)]
    return nn.Sequential(*layers, nn.Tanh())


def dense_trunk(shape: Sequence[int], width: int) -> tuple[nn.Module, int]:
    """Images → features, and their number: a strided convolution, and dense blocks without batch norm, each with a
    transition to twice the channels at half the side: a 1 × 1 convolution and the average of 2 × 2 pixels."""
    colours, height, wide = shape
    kernel, stride = halving(height, wide)
    layers: list[nn.Module] = [nn.Conv2d(colours, width, kernel, stride, padding=1)]
    channels = width
    for _ in sides(height, wide)[1:]:
        height, wide = max(1, height // 2), max(1, wide // 2)
        block, found = _block(channels, width, (height, wide), normalized=False)
        channels *= 2
        # the average first: it commutes with a 1 × 1 convolution, which then sees a quarter of the pixels
        average = nn.AvgPool2d(halving(height, wide)[1])
        layers += [*block, *_activation(found, normalized=False), average, nn.Conv2d(found, channels, 1)]
    height, wide = max(1, height // 2), max(1, wide // 2)
    return nn.Sequential(*layers, nn.LeakyReLU(0.2), nn.Flatten()), channels * height * wide
