"""Convolutions: the DCGAN (Radford et al. 2016, arXiv:1511.06434)."""

from collections.abc import Sequence

from torch import Tensor, nn

RESIDUAL = 32  # pixels a side of an image from which on there are residual blocks
AFFORDABLE = 16  # pixels a side of a picture that has one, at most: beyond, a block costs more than all layers
BRANCH = 0.1  # share of a block's branch that counts; with all of it, samples of photographs collapse


def sides(height: int, width: int) -> list[tuple[int, int]]:
    """The sizes of the pictures inside the networks, full size first, halved (rounding up) until both sides are at most
    8."""
    found = [(height, width)]
    while max(found[-1]) > 8 or len(found) < 3:
        height, width = found[-1]
        found.append((-(-height // 2), -(-width // 2)))
    return found


def halving(height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Kernel and stride of a convolution, padded by 1, that halves both sides (rounding down); a side of one pixel,
    which a long image comes to before its other side, stays."""
    (tall, down), (wide, across) = ((4, 2) if side > 1 else (3, 1) for side in (height, width))
    return (tall, wide), (down, across)


class Crop(nn.Module):
    """Cuts what a doubling adds to an odd side."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.height, self.width = size

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, *size], the upper left part."""
        return images[..., : self.height, : self.width]


class _Residual(nn.Module):
    """x + 0.1·conv(act(conv(act(x)))), which starts as the identity; with batch norm before each activation or
    without."""

    def __init__(self, channels: int, normalized: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        first, last = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        for convolution in (first, last):
            layers += [*([nn.BatchNorm2d(channels)] if normalized else []), nn.LeakyReLU(0.2), convolution]
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.branch = nn.Sequential(*layers)

    def forward(self, pictures: Tensor) -> Tensor:
        residual: Tensor = self.branch(pictures)
        return pictures + BRANCH * residual


def _residual(channels: int, size: tuple[int, int], whole: Sequence[int], normalized: bool) -> list[nn.Module]:
    """A residual block behind a layer that leaves pictures of this ``size``, where the ``whole`` image is large enough
    to need one and the picture small enough to afford it."""
    wanted = max(whole) >= RESIDUAL and max(size) <= AFFORDABLE
    return [_Residual(channels, normalized)] if wanted else []


def dcgan_generator(inputs: Sequence[int], shape: Sequence[int], width: int) -> nn.Module:
    """z and one-hot conditions [B, sum(inputs)] → images [B, C, H, W] in (−1, 1) by transposed convolutions with batch
    norm: ``width`` channels at half the full side, twice as many at each further halving; from 32 pixels a side on with
    residual blocks (He et al. 2016, arXiv:1603.05027) between them."""
    colours, *whole = shape
    full, *inner = sides(*whole)
    channels = width * 2 ** (len(inner) - 1)
    layers: list[nn.Module] = [
        nn.Linear(sum(inputs), channels * inner[-1][0] * inner[-1][1], bias=False),
        nn.Unflatten(1, (channels, *inner[-1])),
        *_residual(channels, inner[-1], whole, normalized=True),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    ]
    for size in reversed(inner[:-1]):
        layers += [
            nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False),
            Crop(size),
            *_residual(channels // 2, size, whole, normalized=True),
            nn.BatchNorm2d(channels // 2),
            nn.ReLU(inplace=True),
        ]
        channels //= 2
    return nn.Sequential(*layers, nn.ConvTranspose2d(channels, colours, 4, 2, 1), Crop(full), nn.Tanh())


def dcgan_trunk(shape: Sequence[int], width: int) -> tuple[nn.Module, int]:
    """Images → features, and their number: the generator's mirror in strided convolutions, and one more; no batch norm,
    which would let a batch's images vouch for one another."""
    inputs, *whole = shape
    layers: list[nn.Module] = []
    outputs, (height, wide) = width, whole
    for _ in sides(*whole):
        kernel, stride = halving(height, wide)
        height, wide = max(1, height // 2), max(1, wide // 2)
        residual = _residual(outputs, (height, wide), whole, normalized=False)
        layers += [nn.Conv2d(inputs, outputs, kernel, stride, padding=1), *residual, nn.LeakyReLU(0.2, inplace=True)]
        inputs, outputs = outputs, 2 * outputs
    return nn.Sequential(*layers, nn.Flatten()), inputs * height * wide
