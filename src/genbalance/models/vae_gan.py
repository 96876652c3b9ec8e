"""The networks of a VAE-GAN: the encoder of a VAE, and a decoder and a discriminator as those of a GAN.

Shapes: images [B, 1, S, S] in [−1, 1], latents z [B, L], features [B, F], logits [B].
"""

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from genbalance.models.gan.model import Discriminator, Generator
from genbalance.models.vae.mlp import mlp_encoder
from genbalance.params import GanWidth, Latents, Side, VaeWidth, checked
from genbalance.runtime.arithmetic import exp

LEAST_LOG_VARIANCE, LARGEST_LOG_VARIANCE = -30.0, 14.0  # of q(z|x), far beyond use: exp() stays within float32


class Autoencoder(nn.Module):
    """Encoder and decoder; the decoder is the generator."""

    def __init__(self, size: int, latents: int, width: int, encoder_width: int) -> None:
        super().__init__()
        self.latents = latents
        self.encoder = mlp_encoder(size, 1, 2 * latents, encoder_width)
        self.decoder = Generator("dcgan", size, latents, width)

    def encode(self, images: Tensor) -> Normal:
        """q(z|x): a normal of batch shape [B, L]."""
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        log_variance = log_variance.clamp(LEAST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
        return Normal(mean, exp(log_variance.div(2)), validate_args=False)

    def draw(self, count: int, noise: torch.Generator) -> Tensor:
        """Latents [count, L] of the prior, z ~ N(0, I), on the device of ``noise``."""
        return self.decoder.draw(count, noise)

    def decode(self, latents: Tensor) -> Tensor:
        """Images [B, 1, S, S] in (−1, 1)."""
        images: Tensor = self.decoder(latents)
        return images

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images [B, 1, S, S] in (−1, 1), decoded from E[z|x]."""
        return self.decode(self.encode(images).mean)


class VaeGan(nn.Module):
    """The autoencoder and the discriminator, as one file holds them.

    Args:
        size: S, pixels a side.
        latents: L.
        width: of the convolutions of decoder and discriminator.
        encoder_width: of the encoder's hidden layers.
    """

    @checked
    def __init__(self, size: Side, latents: Latents, width: GanWidth, encoder_width: VaeWidth) -> None:
        super().__init__()
        self.latents = latents
        self.autoencoder = Autoencoder(size, latents, width, encoder_width)
        self.discriminator = Discriminator("dcgan", size, width)

    def features(self, images: Tensor) -> Tensor:
        """The discriminator's last hidden layer [B, F]."""
        features: Tensor = self.discriminator.trunk(images)
        return features
