"""The objectives as people write them down, on the same networks: no distributions, no bookkeeping."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from genbalance.models.gan import Gan
from genbalance.models.vae import Vae


def negative_elbo(model: Vae, pixels: Tensor, beta: float, noise: torch.Generator | None = None) -> Tensor:
    """Of pixels [B, C, H, W] in [0, 1], binarized anew: the mean over the batch of cross-entropy + β·KL."""
    images = (torch.rand(pixels.shape, generator=noise, device=pixels.device) < pixels).float()
    mean, log_variance = model.encoder(images).chunk(2, dim=1)
    epsilon = torch.randn(mean.shape, generator=noise, device=pixels.device)
    _, height, width = model.shape
    logits = model.decoder(mean + (log_variance / 2).exp() * epsilon)[..., :height, :width]
    lost = binary_cross_entropy_with_logits(logits, images, reduction="sum")
    kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
    loss: Tensor = (lost + beta * kl) / len(images)
    return loss


def discriminator_loss(gan: Gan, real: Tensor, fake: Tensor, conditions: Tensor | None) -> Tensor:
    """L_D of real and generated images [B, 1, S, S]; no gradient reaches the generator."""
    on_real, on_fake = gan.discriminator(real, conditions), gan.discriminator(fake.detach(), conditions)
    return binary_cross_entropy_with_logits(on_real, torch.ones_like(on_real)) + binary_cross_entropy_with_logits(
        on_fake, torch.zeros_like(on_fake)
    )


def generator_loss(gan: Gan, fake: Tensor, conditions: Tensor | None) -> Tensor:
    """L_G of generated images [B, 1, S, S]."""
    on_fake = gan.discriminator(fake, conditions)
    return binary_cross_entropy_with_logits(on_fake, torch.ones_like(on_fake))
