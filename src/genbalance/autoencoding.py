"""One way through a VAE, from pixels to the terms of its objective, for training, validation and evaluation alike."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Normal

from genbalance.evaluation.features import BLOCK
from genbalance.evaluation.latents import kl_per_latent
from genbalance.models.vae import Vae
from genbalance.objectives.vae import Terms, binarize, distortion, kl_to_normal, log_ratio, reparameterize


@dataclass(frozen=True)
class Passage:
    """What came up on the way: q(z|x), and the objective's terms at the z drawn from it."""

    posterior: Normal
    terms: Terms


def pass_through(
    model: Vae, pixels: Tensor, noise: torch.Generator, labels: Tensor | None = None, draws: int = 1
) -> Passage:
    """Sends pixels [B, 1, S, S] in [0, 1] through ``model``; the Bernoulli likelihood sees a fresh binary draw.

    With one of the ``draws`` of z the terms are [B], and the rate is in closed form where the prior is the standard
    normal; with k of them they are [k, B], and the rate is log q(z|x) − log p(z) at each.
    """
    images = pixels
    if model.likelihood == "bernoulli":
        images = binarize(pixels, torch.rand(pixels.shape, generator=noise, device=pixels.device))
    posterior = model.encode(images, labels)
    shape = posterior.mean.shape if draws == 1 else (draws, *posterior.mean.shape)
    z = reparameterize(posterior, torch.randn(shape, generator=noise, device=pixels.device))
    wanted = labels if labels is None or draws == 1 else labels.repeat(draws)
    decoded = model.decode(z.reshape(-1, z.shape[-1]), wanted)
    seen = images if draws == 1 else images.repeat(draws, 1, 1, 1)
    lost = distortion(seen, decoded).view(z.shape[:-1])
    if draws == 1 and model.standard_prior:
        kl = kl_to_normal(posterior)
        return Passage(posterior, Terms(lost, kl.sum(dim=1), kl))
    return Passage(posterior, Terms(lost, log_ratio(posterior, z, model.log_prior(z), landing=draws == 1)))


@dataclass(frozen=True)
class Account:
    """A set of n images sent through a VAE: ``distortion`` [n] and ``rates`` [n] in nats, ``means`` E[z|x]
    [n, latents], ``reconstructions`` [n, S, S] in [0, 1]: the mean of p(x|z) at z = E[z|x].
    ``kl`` [latents]: the rate latent by latent, see :func:`genbalance.evaluation.latents.kl_per_latent`."""

    distortion: NDArray[np.float64]
    rates: NDArray[np.float64]
    means: NDArray[np.float64]
    kl: NDArray[np.float64]
    reconstructions: NDArray[np.float32]

    @property
    def rate(self) -> float:
        """KL(q(z|x) ‖ p(z)), nats per image."""
        return float(self.rates.mean())

    def loss(self, beta: float) -> float:
        """L = L_recon + β·L_KL; at β = 1 the negative ELBO, nats per image."""
        return float(self.distortion.mean()) + beta * self.rate


def account(model: Vae, pixels: Tensor, noise: torch.Generator, labels: Tensor | None = None) -> Account:
    """The whole set, block by block, without gradients."""
    columns: list[list[Tensor]] = [[], [], [], [], []]
    known = labels.split(BLOCK) if labels is not None else [None] * len(pixels.split(BLOCK))
    with torch.inference_mode():
        for block, told in zip(pixels.split(BLOCK), known, strict=True):
            passage = pass_through(model, block, noise, told)
            means, deviations = passage.posterior.mean, passage.posterior.stddev
            reconstructions = model.decode(means, told).mean[:, 0]
            parts = (passage.terms.distortion, passage.terms.rate, means, deviations, reconstructions)
            for column, part in zip(columns, parts, strict=True):
                column.append(part.cpu())
    images = torch.cat(columns.pop()).numpy()
    lost, rates, codes, spread = (torch.cat(column).double().numpy() for column in columns)
    return Account(lost, rates, codes, kl_per_latent(codes, spread, model.standard_prior), images)
