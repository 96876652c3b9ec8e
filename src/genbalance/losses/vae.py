"""The VAE's objective, L = L_recon + β·L_KL, nats per image: summed over pixels and over latents, mean over the batch.

Kingma & Welling 2014 (arXiv:1312.6114), equation 10; β of Higgins et al. 2017. β = 1 is the negative ELBO, and with k
draws of z for each image the importance-weighted bound of Burda et al. 2016 (arXiv:1509.00519), equation 8.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal

from genbalance.runtime.arithmetic import log


@dataclass(frozen=True)
class Terms:
    """The unweighted terms of one batch, for one draw of z [B] or for k draws [k, B].

    ``distortion``: −log p(x|z), summed over the pixels. ``rate``: KL(q(z|x) ‖ p(z)), or log q(z|x) − log p(z) at the
    draw, of which that is the mean. ``kl`` [B, latents]: the rate latent by latent, where the prior has them apart.
    """

    distortion: Tensor
    rate: Tensor
    kl: Tensor | None = None

    def loss(self, beta: float | Tensor, free_bits: float = 0.0) -> Tensor:
        """L = L_recon + β·L_KL, a scalar; of k draws −log 1/k Σ exp(−distortion − β·rate), which falls with k.

        β may be one an image [B].

        ``free_bits``, nats a latent, are the least that a latent's KL, mean over the batch, counts as (Kingma et al.
        2016, arXiv:1606.04934, equation 15): below it the objective gains nothing by switching a latent off.
        """
        if free_bits > 0:
            if self.kl is None or self.distortion.dim() > 1:
                raise ValueError("free bits need the KL of each latent, and one draw")
            return self.distortion.mean() + beta * self.kl.mean(dim=0).clamp(min=free_bits).sum()
        return self.loss_of_each(beta).mean()

    def loss_of_each(self, beta: float | Tensor) -> Tensor:
        """The same of each image [B], without free bits, which are of a batch."""
        each = self.distortion + beta * self.rate
        return math.log(len(each)) - (-each).logsumexp(dim=0) if each.dim() > 1 else each


def distortion(images: Tensor, decoded: Distribution) -> Tensor:
    """−log p(x|z) of images [..., B, C, H, W], summed over the pixels where ``decoded`` has them apart: [..., B]."""
    each: Tensor = -decoded.log_prob(images)
    return each if decoded.event_shape else each.flatten(-3).sum(dim=-1)


def kl_to_normal(posterior: Normal) -> Tensor:
    """KL(q(z|x) ‖ N(0, 1)) of each latent, in closed form: [B, latents]."""
    return (posterior.mean.square() + posterior.variance - 1).div(2) - log(posterior.stddev)


def log_ratio(posterior: Normal, latents: Tensor, log_prior: Tensor, landing: bool = False) -> Tensor:
    """Log q(z|x) − log p(z) at latents [..., B, L] drawn from q, whose log p(z) [..., B] is given: [..., B].

    With ``landing`` gradients reach q through the latents alone, not through its mean and deviation in log q: what is
    left out is zero on the average, and noise (sticking the landing: Roeder et al. 2017, arXiv:1703.09194). For one
    draw only; under the logarithm of a mean over several it would be biased.
    """
    mean, deviation = posterior.mean, posterior.stddev
    if landing:
        mean, deviation = mean.detach(), deviation.detach()
    # not torch's log_prob, whose logarithm is each processor's own
    log_posterior = -((latents - mean) / deviation).square() / 2 - log(deviation) - math.log(2 * math.pi) / 2
    return log_posterior.sum(dim=-1) - log_prior


def warmed_up(beta: float, progress: float) -> float:
    """β·min(1, progress): the KL's weight while it is warmed up (Sønderby et al. 2016, arXiv:1602.02282)."""
    return beta * min(1.0, progress)


def binarize(pixels: Tensor, uniform: Tensor) -> Tensor:
    """A binary image with P(x = 1) = pixel; drawn anew at each visit it is dynamic binarization (Burda et al. 2016).

    Shapes: pixels in [0, 1] and ``uniform`` noise in [0, 1), both [B, C, H, W]. Cross-entropy on grey pixels would be
    no likelihood; on these it is one.
    """
    return (uniform < pixels).to(pixels.dtype)


class Draw(Protocol):
    """z ~ q(z|x)."""

    @property
    def latents(self) -> Tensor:
        """z [..., B, L]."""

    @property
    def conditional(self) -> Normal:
        """What each latent was drawn from, given the image and the latents drawn before it: batch shape [B, L], or that
        of z."""

    @property
    def decoded(self) -> Distribution | None:
        """p(x|z) of the rows of z, one row after another, where it is known already."""


class Posterior(Protocol):
    """q(z|x) of B images."""

    @property
    def mean(self) -> Tensor:
        """Of each latent, where those that it depends on are at their mean: [B, L]."""

    def draw(self, noise: Tensor) -> Draw:
        """z out of standard normal noise [..., B, L], through which gradients reach the encoder."""


class LatentVariableModel(Protocol):
    """q(z|x), p(x|z) and p(z) as :class:`genbalance.models.vae.model.Vae` has them."""

    @property
    def likelihood(self) -> str:
        """Of images: bernoulli, whose images are binary, or another."""

    @property
    def standard_prior(self) -> bool:
        """Whether p(z) = N(0, I)."""

    @property
    def latents(self) -> int:
        """L."""

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Posterior:
        """q(z|x)."""

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Distribution:
        """p(x|z), batch shape [B, C, H, W], or [B] with event shape [C, H, W]."""

    def log_prior(self, latents: Tensor) -> Tensor:
        """Log p(z), nats, of latents [..., L]."""


@dataclass(frozen=True)
class VaeOutput:
    """q(z|x), the normal that each latent of the draw came from, and the terms of the objective at that draw."""

    posterior: Posterior
    conditional: Normal
    terms: Terms


def vae_output(
    model: LatentVariableModel,
    pixels: Tensor,
    noise: torch.Generator,
    labels: Tensor | None = None,
    draws: int = 1,
    fitted: Callable[[Distribution, Tensor], Distribution] | None = None,
) -> VaeOutput:
    """Encodes pixels [B, C, H, W] in [0, 1], draws z and decodes it; the Bernoulli likelihood sees a fresh binary draw.

    With one of the ``draws`` of z the terms are [B], and the rate is in closed form where the prior is the standard
    normal; with k of them they are [k, B], and the rate is log q(z|x) − log p(z) at each. The terms are those of what
    ``fitted`` makes of p(x|z), for the images it is given with.
    """
    images, normal = vae_inputs(model, pixels, noise, draws)
    return vae_output_at(model, images, normal, labels, fitted)


def vae_inputs(
    model: LatentVariableModel, pixels: Tensor, noise: torch.Generator, draws: int = 1
) -> tuple[Tensor, Tensor]:
    """All that is drawn for :func:`vae_output`: the images that the encoder sees, and the standard normal noise of z,
    [B, L] or, for several ``draws``, [k, B, L]."""
    images = pixels
    if model.likelihood == "bernoulli":
        images = binarize(pixels, torch.rand(pixels.shape, generator=noise, device=pixels.device))
    shape = (len(images), model.latents) if draws == 1 else (draws, len(images), model.latents)
    return images, torch.randn(shape, generator=noise, device=pixels.device)


def vae_output_at(
    model: LatentVariableModel,
    images: Tensor,
    normal: Tensor,
    labels: Tensor | None = None,
    fitted: Callable[[Distribution, Tensor], Distribution] | None = None,
) -> VaeOutput:
    """:func:`vae_output` of what :func:`vae_inputs` has drawn."""
    posterior = model.encode(images, labels)
    drawn = posterior.draw(normal)
    draws = len(normal) if normal.dim() > 2 else 1
    z, conditional = drawn.latents, drawn.conditional
    z_labels = labels if labels is None or draws == 1 else labels.repeat(draws)
    decoded = drawn.decoded or model.decode(z.reshape(-1, z.shape[-1]), z_labels)
    targets = images if draws == 1 else images.repeat(draws, 1, 1, 1)
    if fitted is not None:
        decoded = fitted(decoded, targets)
    distortions = distortion(targets, decoded).view(z.shape[:-1])
    if draws == 1 and model.standard_prior:
        kl = kl_to_normal(conditional)
        return VaeOutput(posterior, conditional, Terms(distortions, kl.sum(dim=1), kl))
    ratio = log_ratio(conditional, z, model.log_prior(z), landing=draws == 1)
    return VaeOutput(posterior, conditional, Terms(distortions, ratio))
