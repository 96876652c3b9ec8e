"""The VAE as a source of digits."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genbalance.data.pixels import UNIT
from genbalance.evaluation.features import in_blocks
from genbalance.generation.sampler import Images, Told, labels_of, to_images
from genbalance.models.vae import Vae


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
        return z, labels_of(self.classes, digit, count, noise)

    def images(self, z: Tensor, told: Told) -> Images:
        """What the decoder draws."""
        return to_images(UNIT, in_blocks(self.vae.sample, z, told))

    def between(self, z: Tensor, ends: Told, shares: Tensor) -> Images:
        """With mixed embeddings of the labels."""
        if ends is None:
            return self.images(z, None)
        first, second = self.vae.wanted_label(ends).detach()
        mixing = deepcopy(self.vae)
        mixing.wanted_label = nn.Embedding.from_pretrained(torch.lerp(first, second, shares[:, None]))
        return VaeSampler(mixing).images(z, torch.arange(len(z), device=z.device))
