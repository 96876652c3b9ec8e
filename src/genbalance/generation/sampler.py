"""Either model as a source of digits: out of noise, and for a digit where it can be asked for one.

Shapes: noise z [n, L], standard normal but for the GAN's truncation; told [n], the conditions of the GAN or the labels
of the VAE, None where a model takes none; images uint8 [n, S, S].
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import one_hot

from genbalance.data.pixels import SIGNED, UNIT, Pixels
from genbalance.evaluation.features import in_blocks
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae

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


@dataclass(frozen=True)
class GanSampler:
    """A GAN's."""

    gan: Gan

    @property
    def classes(self) -> int:
        """How many digits can be asked for; 0: none."""
        return self.gan.classes

    @property
    def latents(self) -> int:
        """L."""
        return self.gan.latents

    def draw(self, count: int, noise: torch.Generator, digit: int | None) -> tuple[Tensor, Told]:
        """z of the truncated prior, and conditions."""
        z = self.gan.draw_latents(count, noise)
        return z, self.gan.draw_conditions(count, noise, _labels(self.classes, digit, count, noise))

    def images(self, z: Tensor, told: Told) -> Images:
        """What the generator draws."""
        return _pixels(SIGNED, in_blocks(self.gan.generator, z, told))

    def between(self, z: Tensor, ends: Told, shares: Tensor) -> Images:
        """With mixed conditions."""
        if ends is None:
            return self.images(z, None)
        first, second = one_hot(ends, self.gan.generator.conditions).to(z.dtype)
        mixed = torch.lerp(first, second, shares[:, None])
        return _pixels(SIGNED, in_blocks(self.gan.generator.net, torch.cat([z, mixed], dim=1)))


@dataclass(frozen=True)
class VaeSampler:
    """A VAE's: the means of p(x|z)."""

    vae: Vae

    @property
    def classes(self) -> int:
        """How many digits can be asked for; 0: none."""
        return self.vae.classes

    @property
    def latents(self) -> int:
        """L."""
        return self.vae.latents

    def draw(self, count: int, noise: torch.Generator, digit: int | None) -> tuple[Tensor, Told]:
        """Standard normal noise, and labels."""
        z = torch.randn(count, self.latents, generator=noise, device=noise.device)
        return z, _labels(self.classes, digit, count, noise)

    def images(self, z: Tensor, told: Told) -> Images:
        """What the decoder draws."""
        return _pixels(UNIT, in_blocks(self.vae.sample, z, told))

    def between(self, z: Tensor, ends: Told, shares: Tensor) -> Images:
        """With mixed embeddings of the labels."""
        if ends is None:
            return self.images(z, None)
        first, second = self.vae.wanted_label(ends).detach()
        mixing = deepcopy(self.vae)
        mixing.wanted_label = nn.Embedding.from_pretrained(torch.lerp(first, second, shares[:, None]))
        return VaeSampler(mixing).images(z, torch.arange(len(z), device=z.device))


def _labels(classes: int, digit: int | None, count: int, noise: torch.Generator) -> Told:
    if not classes:
        return None
    if digit is None:
        return torch.randint(classes, (count,), generator=noise, device=noise.device)
    return torch.full((count,), digit, device=noise.device)


def _pixels(pixels: Pixels, drawn: Tensor) -> Images:
    images: Images = pixels.to_uint8(drawn)[:, 0].numpy()
    return images
