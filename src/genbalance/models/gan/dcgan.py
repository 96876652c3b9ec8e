"""Convolutions: the DCGAN (Radford et al. 2016, arXiv:1511.06434)."""

from torch import Tensor, nn


def _sides(size: int) -> list[int]:
    """The sides of the pictures inside a DCGAN, full size first, halved (rounding up) until at most 7."""
    sides = [size]
    while sides[-1] > 7 or len(sides) < 3:
        sides.append(-(-sides[-1] // 2))
    return sides


class _Crop(nn.Module):
    """Cuts what a doubling adds to an odd side."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: Tensor) -> Tensor:
        return images[..., : self.side, : self.side]


def dcgan_generator(inputs: int, size: int, width: int) -> nn.Module:
    """z [B, inputs] → images [B, 1, S, S] in (−1, 1) by transposed convolutions with batch norm: ``width`` channels at
    half the full side, twice as many at each further halving."""
    full, *inner = _sides(size)
    channels = width * 2 ** (len(inner) - 1)
    layers: list[nn.Module] = [
        nn.Linear(inputs, channels * inner[-1] ** 2, bias=False),
        nn.Unflatten(1, (channels, inner[-1], inner[-1])),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    ]
    for side in reversed(inner[:-1]):
        layers += [
            nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False),
            _Crop(side),
            nn.BatchNorm2d(channels // 2),
            nn.ReLU(inplace=True),
        ]
        channels //= 2
    return nn.Sequential(*layers, nn.ConvTranspose2d(channels, 1, 4, 2, 1), _Crop(full), nn.Tanh())


def dcgan_trunk(size: int, width: int) -> tuple[nn.Module, int]:
    """Images → features, and their number: the generator's mirror in strided convolutions, and one more; no batch norm,
    which would let a batch's images vouch for one another."""
    layers: list[nn.Module] = []
    inputs, outputs = 1, width
    for _ in _sides(size):
        layers += [nn.Conv2d(inputs, outputs, 4, 2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        inputs, outputs, size = outputs, 2 * outputs, size // 2
    return nn.Sequential(*layers, nn.Flatten()), inputs * size**2
