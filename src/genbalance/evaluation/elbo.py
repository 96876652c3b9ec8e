"""A VAE's objective over a whole set of images, for validation and evaluation alike."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbalance.evaluation.features import BLOCK
from genbalance.evaluation.latents import kl_per_latent
from genbalance.losses.vae import vae_output
from genbalance.models.vae import Vae


@dataclass(frozen=True)
class VaeEvaluation:
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


def evaluate_elbo(model: Vae, pixels: Tensor, noise: torch.Generator, labels: Tensor | None = None) -> VaeEvaluation:
    """The whole set, block by block, without gradients."""
    columns: list[list[Tensor]] = [[], [], [], [], []]
    blocks = pixels.split(BLOCK)
    label_blocks = labels.split(BLOCK) if labels is not None else [None] * len(blocks)
    with torch.inference_mode():
        for block, block_labels in zip(blocks, label_blocks, strict=True):
            output = vae_output(model, block, noise, block_labels)
            means, deviations = output.posterior.mean, output.posterior.stddev
            reconstructions = model.decode(means, block_labels).mean[:, 0]
            parts = (output.terms.distortion, output.terms.rate, means, deviations, reconstructions)
            for column, part in zip(columns, parts, strict=True):
                column.append(part.cpu())
    images = torch.cat(columns.pop()).numpy()
    distortion, rates, codes, spread = (torch.cat(column).double().numpy() for column in columns)
    return VaeEvaluation(distortion, rates, codes, kl_per_latent(codes, spread, model.standard_prior), images)
