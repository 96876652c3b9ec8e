"""The GAN as a source of digits."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from genbalance.data.pixels import SIGNED
from genbalance.evaluation.features import in_blocks
from genbalance.generation.sampler import Images, Told, labels_of, to_images
from genbalance.models.gan import Gan


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
        return z, self.gan.draw_conditions(count, noise, labels_of(self.classes, digit, count, noise))

    def images(self, z: Tensor, told: Told) -> Images:
        """What the generator draws."""
        return to_images(SIGNED, in_blocks(self.gan.generator, z, told))

    def between(self, z: Tensor, ends: Told, shares: Tensor) -> Images:
        """With mixed conditions."""
        if ends is None:
            return self.images(z, None)
        first, second = one_hot(ends, self.gan.generator.conditions).to(z.dtype)
        mixed = torch.lerp(first, second, shares[:, None])
        return to_images(SIGNED, in_blocks(self.gan.generator.net, torch.cat([z, mixed], dim=1)))
