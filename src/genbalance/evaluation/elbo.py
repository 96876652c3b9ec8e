"""A VAE's objective over a whole set of images, for validation and evaluation alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbalance.evaluation.features import BLOCK, block_of, in_blocks
from genbalance.evaluation.latents import kl_per_latent
from genbalance.losses.vae import vae_output
from genbalance.models.vae import Vae
from genbalance.runtime.device import Uploaded, channels_last


@dataclass(frozen=True)
class VaeEvaluation:
    """A set of n images sent through a VAE: ``distortion`` [n] and ``rates`` [n] in nats, ``means`` E[z|x]
    [n, latents], of which :func:`decoded` makes reconstructions. ``kl`` [latents]: the rate latent by latent, see
    :func:`genbalance.evaluation.latents.kl_per_latent`."""

    distortion: NDArray[np.float64]
    rates: NDArray[np.float64]
    means: NDArray[np.float64]
    kl: NDArray[np.float64]

    @property
    def rate(self) -> float:
        """KL(q(z|x) ‖ p(z)), nats per image."""
        return float(self.rates.mean())

    def rates_of_layers(self, sizes: Sequence[int]) -> dict[str, float]:
        """The rate of each of several layers, of ``sizes`` latents, as ``rate_layer_1`` …: together the rate. Nothing
        of a single one."""
        parts = np.split(self.kl, np.cumsum(sizes)[:-1])
        return {f"rate_layer_{k}": float(part.sum()) for k, part in enumerate(parts, start=1) if len(parts) > 1}

    def loss(self, beta: float) -> float:
        """L = L_recon + β·L_KL; at β = 1 the negative ELBO, nats per image."""
        return float(self.distortion.mean()) + beta * self.rate


def evaluate_elbo(model: Vae, pixels: Uploaded, noise: torch.Generator, labels: Tensor | None = None) -> VaeEvaluation:
    """The whole set [n, C, H, W] in [0, 1], block by block, without gradients."""
    columns: list[list[Tensor]] = [[], [], [], [], []]
    size = block_of(BLOCK, model.outputs)
    blocks = pixels.split(size)
    label_blocks = labels.split(size) if labels is not None else [None] * len(blocks)
    with torch.inference_mode():
        for block, block_labels in zip(blocks, label_blocks, strict=True):
            output = vae_output(model, block, noise, block_labels)
            drawn_from = output.conditional
            parts = (
                output.terms.distortion,
                output.terms.rate,
                output.posterior.mean,
                drawn_from.mean,
                drawn_from.stddev,
            )
            for column, part in zip(columns, parts, strict=True):
                column.append(part.cpu())
    distortion, rates, codes, centres, spread = (torch.cat(column).double().numpy() for column in columns)
    return VaeEvaluation(distortion, rates, codes, kl_per_latent(centres, spread, model.standard_prior))


def decoded(model: Vae, means: NDArray[np.float64], labels: Tensor | None = None) -> NDArray[np.float32]:
    """The mean of p(x|z) at z = ``means`` [n, latents]: [n, H, W] or [n, H, W, 3] in [0, 1]."""
    z = torch.from_numpy(means).float().to(next(model.parameters()).device)
    decode = in_blocks(lambda *given: model.decode(*given).mean, z, labels, values=model.outputs)
    images: NDArray[np.float32] = channels_last(decode).numpy()
    return images
