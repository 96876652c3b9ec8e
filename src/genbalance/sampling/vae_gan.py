"""How a VAE-GAN draws images, and what an ONNX file holds of it."""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from genbalance.data.pixels import SIGNED
from genbalance.evaluation.features import in_blocks
from genbalance.models.vae_gan import VaeGan
from genbalance.runtime.device import download, upload
from genbalance.sampling.sampler import Condition, Controls, Discriminator, Drawing, Images, Input


@dataclass(frozen=True)
class VaeGanSampler:
    """Images of the decoder, z ~ N(0, I)."""

    vae_gan: VaeGan

    @property
    def classes(self) -> int:
        """It cannot be conditioned."""
        return 0

    @property
    def latent_dim(self) -> int:
        """L."""
        return self.vae_gan.latents

    @property
    def controls(self) -> Controls:
        """Its encoder and its discriminator."""
        discriminator = Discriminator(self.vae_gan.discriminator, lambda *_: None)
        return Controls(encode=self._encode, discriminator=discriminator)

    def _encode(self, images: Images, labels: Condition, noise: torch.Generator) -> Tensor:  # noqa: ARG002 (no labels)
        seen = upload(images, SIGNED, noise.device)
        return in_blocks(lambda given: self.vae_gan.autoencoder.encode(given).mean, seen)

    def draw(self, count: int, noise: torch.Generator, digit: int | None) -> tuple[Tensor, Condition]:  # noqa: ARG002
        """Latents of the prior, and no conditions."""
        return self.vae_gan.autoencoder.draw(count, noise), None

    def images(self, z: Tensor, condition: Condition) -> Images:  # noqa: ARG002 (the protocol's)
        """The decoder's images."""
        return download(in_blocks(self.vae_gan.autoencoder.decode, z, values=prod(self.vae_gan.shape)), SIGNED)

    def between(self, z: Tensor, ends: Condition, shares: Tensor) -> Images:  # noqa: ARG002 (the protocol's)
        """The decoder's images: there are no conditions to mix."""
        return self.images(z, None)


@dataclass(frozen=True)
class Decoded:
    """Decoded images: ``mean`` [B, C, H, W] in [0, 1]."""

    mean: Tensor


@dataclass(frozen=True)
class UnitAutoencoder:
    """Encoder and decoder with pixels in [0, 1]; labels are taken for None."""

    vae_gan: VaeGan

    @property
    def outputs(self) -> int:
        """Numbers that the decoder makes of one z."""
        return prod(self.vae_gan.shape)

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Normal:  # noqa: ARG002 (as a VAE's)
        """q(z|x): a normal of batch shape [B, L]."""
        return self.vae_gan.autoencoder.encode(2 * images - 1)

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Decoded:  # noqa: ARG002 (as a VAE's)
        """The images at latents [B, L]."""
        return Decoded(SIGNED.decode(self.vae_gan.autoencoder.decode(latents)))


class _Decoder(nn.Module):
    """The decoder with pixels in [0, 1]."""

    def __init__(self, vae_gan: VaeGan) -> None:
        super().__init__()
        self.decoder = vae_gan.autoencoder.decoder

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = SIGNED.decode(self.decoder(latents))
        return images


def vae_gan_drawing(vae_gan: VaeGan) -> Drawing:
    """The decoder. Input: ``latents`` float32 [B, L], standard normal."""
    return Drawing(_Decoder(vae_gan), 0, {"latents": Input.normal(vae_gan.latents, 1.0)})
