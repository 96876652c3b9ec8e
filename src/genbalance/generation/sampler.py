"""A model as a source of digits: out of noise, and for a digit where it can be asked for one.

Shapes: noise z [n, L], standard normal but for the GAN's truncation; told [n], the conditions of the GAN or the labels
of the VAE, None where a model takes none; images uint8 [n, S, S].
"""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbalance.data.pixels import Pixels

Images = NDArray[np.uint8]
Told = Tensor | None


class Sampler(Protocol):
    """A model that draws digits."""

    @property
    def classes(self) -> int:
        """How many digits can be asked for; 0: none."""

    @property
    def latents(self) -> int:
        """L."""

    def draw(self, count: int, noise: torch.Generator, digit: int | None) -> tuple[Tensor, Told]:
        """Noise for ``count`` images, and what the model is told: ``digit``, or any one for None, where it can be asked
        for one."""

    def images(self, z: Tensor, told: Told) -> Images:
        """What the model draws."""

    def between(self, z: Tensor, ends: Told, shares: Tensor) -> Images:
        """Images of ``z`` [n, L] on a way between two things that the model is told, ``ends`` [2]; ``shares`` [n] say
        how near the second one is, from 0 to 1: what a network makes of the two is mixed before its first layer."""


def labels_of(classes: int, digit: int | None, count: int, noise: torch.Generator) -> Told:
    """``count`` times ``digit``, or any classes for None; None where the model knows no ``classes``."""
    if not classes:
        return None
    if digit is None:
        return torch.randint(classes, (count,), generator=noise, device=noise.device)
    return torch.full((count,), digit, device=noise.device)


def to_images(pixels: Pixels, drawn: Tensor) -> Images:
    """Network outputs [n, 1, S, S] on the scale of ``pixels`` as images."""
    images: Images = pixels.to_uint8(drawn)[:, 0].numpy()
    return images
