"""One way through a VAE, from pixels to the terms of its objective, for training, validation and evaluation alike."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Normal

from genbalance.evaluation.features import BLOCK
from genbalance.models.vae import Vae
from genbalance.objectives.vae import Terms, binarize, reparameterize, terms


@dataclass(frozen=True)
class Passage:
    """What came up on the way: q(z|x), and the objective's terms at one z drawn from it."""

    posterior: Normal
    terms: Terms


def pass_through(model: Vae, pixels: Tensor, noise: torch.Generator) -> Passage:
    """Sends pixels [B, 1, S, S] in [0, 1] through ``model``; the Bernoulli likelihood sees a fresh binary draw."""
    images = pixels
    if model.likelihood == "bernoulli":
        images = binarize(pixels, torch.rand(pixels.shape, generator=noise, device=pixels.device))
    posterior = model.encode(images)
    epsilon = torch.randn(posterior.mean.shape, generator=noise, device=pixels.device)
    decoded = model.decode(reparameterize(posterior, epsilon))
    return Passage(posterior, terms(images, posterior, decoded))


@dataclass(frozen=True)
class Account:
    """A set of n images sent through a VAE: ``distortion`` [n] and ``kl`` [n, latents] in nats, ``means`` E[z|x]
    [n, latents], ``reconstructions`` [n, S, S] in [0, 1]: the mean of p(x|z) at z = E[z|x]."""

    distortion: NDArray[np.float64]
    kl: NDArray[np.float64]
    means: NDArray[np.float64]
    reconstructions: NDArray[np.float32]

    @property
    def rate(self) -> float:
        """KL(q(z|x) ‖ p(z)), nats per image."""
        return float(self.kl.sum(axis=1).mean())

    def loss(self, beta: float) -> float:
        """L = L_recon + β·L_KL; at β = 1 the negative ELBO, nats per image."""
        return float(self.distortion.mean()) + beta * self.rate


def account(model: Vae, pixels: Tensor, noise: torch.Generator) -> Account:
    """The whole set, block by block, without gradients."""
    columns: list[list[Tensor]] = [[], [], [], []]
    with torch.inference_mode():
        for block in pixels.split(BLOCK):
            passage = pass_through(model, block, noise)
            means = passage.posterior.mean
            reconstructions = model.decode(means).mean[:, 0]
            parts = (passage.terms.distortion, passage.terms.kl, means, reconstructions)
            for column, part in zip(columns, parts, strict=True):
                column.append(part.cpu())
    distortion, kl, latents, images = (torch.cat(column).numpy() for column in columns)
    return Account(distortion.astype(np.float64), kl.astype(np.float64), latents.astype(np.float64), images)
