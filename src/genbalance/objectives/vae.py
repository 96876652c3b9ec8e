"""The VAE's objective, L = L_recon + β·L_KL, nats per image: summed over pixels and over latents, mean over the batch.

Kingma & Welling 2014 (arXiv:1312.6114), equation 10; β of Higgins et al. 2017. β = 1 is the negative ELBO.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, kl_divergence


@dataclass(frozen=True)
class Terms:
    """The unweighted terms of one batch.

    ``distortion`` [B]: −log p(x|z), summed over the pixels. ``kl`` [B, latents]: KL(q(z|x) ‖ N(0, 1)) of each latent.
    """

    distortion: Tensor
    kl: Tensor

    @property
    def rate(self) -> Tensor:
        """KL(q(z|x) ‖ N(0, I)) [B], summed over the latents."""
        return self.kl.sum(dim=1)

    def loss(self, beta: float) -> Tensor:
        """L = L_recon + β·L_KL, a scalar."""
        return self.distortion.mean() + beta * self.rate.mean()


def terms(images: Tensor, posterior: Normal, decoded: Distribution) -> Terms:
    """Both terms for ``images`` [B, 1, S, S], their posterior q(z|x) and p(x|z) at a z drawn from it."""
    prior = Normal(torch.zeros_like(posterior.mean), torch.ones_like(posterior.mean), validate_args=False)
    return Terms(
        distortion=-decoded.log_prob(images).flatten(1).sum(dim=1),
        kl=kl_divergence(posterior, prior),
    )


def reparameterize(posterior: Normal, noise: Tensor) -> Tensor:
    """z = μ + σ·ε [B, latents], through which gradients reach the encoder."""
    return posterior.mean + posterior.stddev * noise


def binarize(pixels: Tensor, uniform: Tensor) -> Tensor:
    """A binary image with P(x = 1) = pixel; drawn anew at each visit it is dynamic binarization (Burda et al. 2016).

    Shapes: pixels in [0, 1] and ``uniform`` noise in [0, 1), both [B, 1, S, S]. Cross-entropy on grey pixels would be
    no likelihood; on these it is one.
    """
    return (uniform < pixels).to(pixels.dtype)
