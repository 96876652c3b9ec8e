"""Generators z → pixels in (−1, 1) and discriminators pixels → one logit, as perceptrons and as DCGANs.

Shapes: latents z [B, latents] ~ N(0, I), images [B, 1, S, S] in [−1, 1], logits [B]: D(x) = sigmoid(logit).
"""

import itertools

from torch import Tensor, nn


class MlpGenerator(nn.Module):
    """z → 128 → 256 → 512 → 1024 → pixels.

    The last two steps make the stack fit the pixels: a linear map from the 1,024 units to S × S outputs, and a tanh,
    because pixels are bounded.
    """

    def __init__(self, size: int, latents: int) -> None:
        super().__init__()
        self.latents = latents
        widths = [latents, 128, 256, 512, 1024]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.LeakyReLU(0.2, inplace=True)]
        self.net = nn.Sequential(*layers, nn.Linear(1024, size * size), nn.Tanh(), nn.Unflatten(1, (1, size, size)))

    def forward(self, latents: Tensor) -> Tensor:
        """Images [B, 1, S, S] in (−1, 1)."""
        images: Tensor = self.net(latents)
        return images


class MlpDiscriminator(nn.Module):
    """Pixels → 512 → 256 → 128 → 1, with dropout, without which few digits are learned by heart."""

    def __init__(self, size: int) -> None:
        super().__init__()
        widths = [size * size, 512, 256, 128]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(0.2, inplace=True), nn.Dropout(0.3)]
        self.net = nn.Sequential(nn.Flatten(), *layers, nn.Linear(128, 1), nn.Flatten(0))

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B]."""
        logits: Tensor = self.net(images)
        return logits


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


class DcganGenerator(nn.Module):
    """Transposed convolutions with batch norm (Radford et al. 2016, arXiv:1511.06434): ``width`` channels at half the
    full side, twice as many at each further halving."""

    def __init__(self, size: int, latents: int, width: int) -> None:
        super().__init__()
        self.latents = latents
        full, *inner = _sides(size)
        channels = width * 2 ** (len(inner) - 1)
        layers: list[nn.Module] = [
            nn.Linear(latents, channels * inner[-1] ** 2, bias=False),
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
        self.net = nn.Sequential(*layers, nn.ConvTranspose2d(channels, 1, 4, 2, 1), _Crop(full), nn.Tanh())

    def forward(self, latents: Tensor) -> Tensor:
        """Images [B, 1, S, S] in (−1, 1)."""
        images: Tensor = self.net(latents)
        return images


class DcganDiscriminator(nn.Module):
    """The generator's mirror in strided convolutions; no batch norm, which would let a batch's images vouch for one
    another."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        _, *inner = _sides(size)
        layers: list[nn.Module] = []
        inputs, outputs = 1, width
        for _ in inner:
            layers += [nn.Conv2d(inputs, outputs, 4, 2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
            inputs, outputs, size = outputs, 2 * outputs, size // 2
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * size**2, 1), nn.Flatten(0))

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B]."""
        logits: Tensor = self.net(images)
        return logits


def build_generator(arch: str, size: int, latents: int, width: int) -> MlpGenerator | DcganGenerator:
    """The generator of ``gan.arch`` for images of ``size`` × ``size``; ``width`` is the DCGAN's."""
    return MlpGenerator(size, latents) if arch == "mlp" else DcganGenerator(size, latents, width)


def build_discriminator(arch: str, size: int, width: int) -> nn.Module:
    """The discriminator of ``gan.arch`` for images of ``size`` × ``size``; ``width`` is the DCGAN's."""
    return MlpDiscriminator(size) if arch == "mlp" else DcganDiscriminator(size, width)


class Gan(nn.Module):
    """Generator and discriminator as one file holds them."""

    def __init__(self, arch: str, size: int, latents: int, width: int) -> None:
        super().__init__()
        self.latents = latents
        self.generator = build_generator(arch, size, latents, width)
        self.discriminator = build_discriminator(arch, size, width)
