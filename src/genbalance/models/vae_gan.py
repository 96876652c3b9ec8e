"""The networks of a VAE-GAN: the encoder of a VAE, and a decoder and a discriminator as those of a GAN.

Shapes: images [B, C, H, W] in [−1, 1], latents z [B, L], features [B, F], logits [B].
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genbalance.models.gan.model import Discriminator, Generator
from genbalance.models.vae.conv import conv_encoder
from genbalance.models.vae.posteriors import IndependentNormal
from genbalance.params import GanWidth, ImageShape, Latents, VaeWidth, checked
from genbalance.runtime.arithmetic import exp

LEAST_LOG_VARIANCE, LARGEST_LOG_VARIANCE = -30.0, 14.0  # of q(z|x), far beyond use: exp() stays within float32


class Autoencoder(nn.Module):
    """Encoder and decoder; the decoder is the generator."""

    def __init__(self, shape: Sequence[int], latents: int, width: int, encoder_width: int) -> None:
        super().__init__()
        self.latents = latents
        self.encoder = conv_encoder(shape, 2 * latents, encoder_width)
        self.decoder = Generator("dcgan", shape, latents, width)

    def encode(self, images: Tensor) -> IndependentNormal:
        """q(z|x): a normal of batch shape [B, L]."""
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        log_variance = log_variance.clamp(LEAST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
        return IndependentNormal(mean, exp(log_variance.div(2)), validate_args=False)

    def draw(self, count: int, noise: torch.Generator) -> Tensor:
        """Latents [count, L] of the prior, z ~ N(0, I), on the device of ``noise``."""
        return self.decoder.draw(count, noise)

    def decode(self, latents: Tensor) -> Tensor:
        """Images [B, C, H, W] in (−1, 1)."""
        images: Tensor = self.decoder(latents)
        return images

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] in (−1, 1), decoded from E[z|x]."""
        return self.decode(self.encode(images).mean)


class VaeGan(nn.Module):
    """The autoencoder and the discriminator, as one file holds them.

    Args:
        shape: [C, H, W] of an image.
        latents: L.
        width: of the convolutions of decoder and discriminator.
        encoder_width: of the encoder's hidden layers; from 32 pixels a side on 16 times its channels at half the side.
    """

    @checked
    def __init__(self, shape: ImageShape, latents: Latents, width: GanWidth, encoder_width: VaeWidth) -> None:
        super().__init__()
        self.shape, self.latents = shape, latents
        self.autoencoder = Autoencoder(shape, latents, width, encoder_width)
        self.discriminator = Discriminator("dcgan", shape, width)

    def features(self, images: Tensor) -> Tensor:
        """The discriminator's last hidden layer [B, F]."""
        features: Tensor = self.discriminator.trunk(images)
        return features
